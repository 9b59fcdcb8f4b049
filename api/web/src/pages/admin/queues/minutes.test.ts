import { expect, it } from 'vitest';
import { peak, stack } from './minutes';

const minute = (succeeded: number, failed = 0, cancelled = 0) => ({ succeeded, failed, cancelled });

it('knows the busiest minute', () => {
  expect(peak([minute(3), minute(2, 2, 1), minute(0)])).toBe(5);
  expect(peak([minute(0)])).toBe(1);
  expect(peak([])).toBe(1);
});

it('stands outcomes on each other, from the bottom', () => {
  expect(stack(minute(6, 2), 8, 64)).toEqual([
    { outcome: 'succeeded', y: 16, height: 48 },
    { outcome: 'failed', y: 0, height: 16 },
  ]);
  expect(stack(minute(0), 8, 64)).toEqual([]);
});

it('lets a single failure among thousands be seen', () => {
  expect(stack(minute(0, 1), 5000, 64)).toEqual([{ outcome: 'failed', y: 62, height: 2 }]);
});
