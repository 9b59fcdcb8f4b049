import { expect, test } from 'vitest';
import { activity as en } from '@/texts/en/activity';
import { activity as zh } from '@/texts/zh/activity';
import { named } from './activity-words';

test('an entry is about what has a name', () => {
  expect(named({ targetKind: 'instance', targetId: 'abc', detail: { name: 'first' } })).toBe('first');
  expect(named({ targetKind: 'instance', targetId: 'abc', detail: {} })).toBe('abc');
  expect(named({ targetKind: 'token', targetId: '01a2', detail: { name: 'backup' } })).toBe('backup');
  expect(named({ targetKind: 'user', targetId: '01a2', detail: { email: 'eve@test.example' } })).toBe(
    'eve@test.example',
  );
  expect(named({ targetKind: 'job', targetId: '01a2', detail: { name: 7 } })).toBeUndefined();
});

test('both languages name the same actions', () => {
  expect(Object.keys(zh.actions)).toEqual(Object.keys(en.actions));
});
