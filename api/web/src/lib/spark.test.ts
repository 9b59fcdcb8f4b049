import { expect, test } from 'vitest';
import { newest, sparkPath } from './spark';

test('a line is broken where nothing was measured', () => {
  expect(sparkPath([0, 5, null, 10, null, 20, 10], 10, 60, 10)).toBe(
    'M0.0 10.0L10.0 5.0M30.0 0.0h.1M50.0 0.0L60.0 0.0',
  );
  expect(sparkPath([null, null], 10, 60, 10)).toBe('');
  expect(sparkPath([], 10, 60, 10)).toBe('');
});

test('the newest value is one of the last minutes', () => {
  expect(newest([1, 2, null])).toBe(2);
  expect(newest([1, null, null, null, null, null])).toBeUndefined();
  expect(newest([])).toBeUndefined();
});
