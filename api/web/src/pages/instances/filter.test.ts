import { expect, test } from 'vitest';
import { aJob, anInstance } from '@/test/examples';
import { choose } from './filter';

const all = [
  anInstance({ id: 'aaaaaaaaaaaa', name: 'Family assistant' }),
  anInstance({ id: 'bbbbbbbbbbbb', name: 'Support bot', status: 'stopped' }),
  anInstance({ id: 'cccccccccccc', name: 'Old bot', status: 'error', vulnerable: true }),
  anInstance({ id: 'eeeeeeeeeeee', name: 'Idle', status: 'stopped', asleep: { since: '2026-11-25T12:00:00Z' } }),
  anInstance({ id: 'dddddddddddd', name: 'New bot', currentJob: aJob({ kind: 'restart' }) }),
];
const names = (search: string, filter: Parameters<typeof choose>[2]) =>
  choose(all, search, filter).map((one) => one.name);

test('every word has to be in the name or the id', () => {
  expect(names('bot', 'all')).toEqual(['Support bot', 'Old bot', 'New bot']);
  expect(names('BOT sup', 'all')).toEqual(['Support bot']);
  expect(names('bbbb', 'all')).toEqual(['Support bot']);
  expect(names('bot family', 'all')).toEqual([]);
  expect(names('  ', 'all')).toHaveLength(5);
});

test('filters go by what is so, and by what is under way', () => {
  expect(names('', 'stopped')).toEqual(['Support bot']);
  expect(names('', 'asleep')).toEqual(['Idle']);
  expect(names('', 'error')).toEqual(['Old bot']);
  expect(names('', 'working')).toEqual(['New bot']);
  expect(names('', 'update')).toEqual(['Old bot']);
});
