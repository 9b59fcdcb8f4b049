import { expect, test } from 'vitest';
import { en } from '@/texts/en';
import { recentWake, sleepChoice, sleepOptions } from './sleep';

const { settings } = en.instance;
const labels = (sleepMinutes: number | null, sleepsAfterMinutes: number | null) =>
  sleepOptions({ sleepMinutes, sleepsAfterMinutes }, settings).map(({ label }) => label);

test('the default says what it is where it applies', () => {
  const times = ['Never', '15 minutes', '30 minutes', '1 hour', '4 hours', '1 day'];
  expect(labels(null, null)).toEqual(['Server’s default (never)', ...times]);
  expect(labels(null, 90)[0]).toBe('Server’s default (90 minutes)');
  expect(labels(15, 15)).toEqual(['Server’s default', ...times]);
  expect(labels(0, null)).toEqual(['Server’s default', ...times]);
});

test('a time that is not among those is one of the choices while it is set', () => {
  expect(labels(45, 45).slice(3, 6)).toEqual(['30 minutes', '45 minutes', '1 hour']);
  expect(labels(10_080, 10_080).at(-1)).toBe('7 days');
});

test('never is not the default', () => {
  expect([null, undefined, 0, 60].map((sleepMinutes) => sleepChoice({ sleepMinutes }))).toEqual([
    ...['default', 'default', '0', '60'],
  ]);
});

test('a wake is of interest for a day, while the instance runs', () => {
  const lastWake = { at: '2026-11-25T12:00:00Z', by: 'address' as const };
  const after = (hours: number) => Date.parse(lastWake.at) + hours * 60 * 60_000;
  expect(recentWake({ status: 'running', lastWake }, after(23))).toBe(lastWake);
  expect(recentWake({ status: 'running', lastWake }, after(-1))).toBe(lastWake);
  expect(recentWake({ status: 'running', lastWake }, after(25))).toBeNull();
  expect(recentWake({ status: 'stopped', lastWake }, after(1))).toBeNull();
  expect(recentWake({ status: 'running', lastWake: null }, after(1))).toBeNull();
});
