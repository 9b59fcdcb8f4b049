import { expect, it } from 'vitest';
import { EMPTY, MOST, withPart } from './log-text';

it('is put together from parts that follow each other', () => {
  const one = withPart(EMPTY, { from: 0, to: 6, text: 'Step 1' });
  expect(withPart(one, { from: 6, to: 13, text: '\nStep 2' })).toEqual({ text: 'Step 1\nStep 2', to: 13, cut: false });
});

it('counts bytes and not characters', () => {
  const one = withPart(EMPTY, { from: 0, to: 2, text: 'é' });
  expect(withPart(one, { from: 2, to: 3, text: '!' }).text).toBe('é!');
});

it('begins anew with a build that does', () => {
  const one = withPart(EMPTY, { from: 0, to: 500, text: 'first attempt' });
  expect(withPart(one, { from: 0, to: 6, text: 'second' })).toEqual({ text: 'second', to: 6, cut: false });
});

it('says so where its beginning is gone', () => {
  expect(withPart(EMPTY, { from: 1000, to: 1003, text: 'end' }).cut).toBe(true);
});

it('keeps its end where it is too long, from a whole line on', () => {
  const text = 'a line\n'.repeat(MOST / 5);
  const log = withPart(EMPTY, { from: 0, to: text.length, text });
  expect(log.text.length).toBeLessThanOrEqual(MOST);
  expect(log.text.startsWith('a line\n')).toBe(true);
  expect(log.cut).toBe(true);
  expect(withPart(log, { from: text.length, to: text.length + 3, text: 'end' }).text.endsWith('\nend')).toBe(true);
});
