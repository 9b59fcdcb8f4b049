import { expect, it } from 'vitest';
import { delay } from './backoff';

it('waits twice as long each time, up to a quarter of a minute', () => {
  expect([1, 2, 3, 6, 7, 100].map((attempt) => delay(attempt, () => 0))).toEqual([250, 500, 1000, 8000, 15000, 15000]);
});

it('does not have everybody come back in the same moment', () => {
  expect(delay(4, () => 0.999)).toBeLessThan(1010);
});
