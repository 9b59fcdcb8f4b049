import { expect, test } from 'vitest';
import type { UsagePoint } from '@/api/contract';
import { ceiling, path, rate, series } from './series';

const at = (minute: number, part: Partial<UsagePoint> = {}): UsagePoint => ({
  at: new Date(Date.UTC(2026, 10, 25, 12, minute)).toISOString(),
  cpuPercent: 0,
  memoryBytes: 0,
  memoryLimitBytes: 0,
  networkRxBytes: 0,
  networkTxBytes: 0,
  diskBytes: 0,
  pids: 0,
  ...part,
});

test('a time without measurements breaks the line', () => {
  const points = series(
    [at(0, { cpuPercent: 1 }), at(1, { cpuPercent: 2 }), at(9, { cpuPercent: 3 })],
    (one) => one.cpuPercent,
  );
  expect(points.map((point) => point.value)).toEqual([1, 2, null, 3]);
});

test('counters become rates, and a counter that began anew a gap', () => {
  const points = [at(0, { networkRxBytes: 0 }), at(1, { networkRxBytes: 600 }), at(2, { networkRxBytes: 60 })];
  expect(rate(points, (one) => one.networkRxBytes).map((point) => point.value)).toEqual([10, null]);
});

test('the top of a chart is round', () => {
  expect([0, 0.3, 7, 12, 50, 51].map(ceiling)).toEqual([1, 0.5, 10, 20, 50, 100]);
});

test('lines are drawn into their box', () => {
  const points = [
    { at: 0, value: 0 },
    { at: 5, value: 10 },
    { at: 6, value: null },
    { at: 10, value: 20 },
  ];
  expect(path(points, 0, 10, 10, 100, 50)).toBe('M0.0 50.0L50.0 0.0M100.0 0.0L100.0 0.0');
});
