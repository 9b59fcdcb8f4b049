import { focusManager, QueryObserver } from '@tanstack/react-query';
import { afterEach, expect, test, vi } from 'vitest';
import type { Schemas } from './contract';
import { devicesQuery, type Instance, isBlocked, isStuck, isWorking, requestsInterval } from './instances';
import { queryClient } from './query-client';

afterEach(() => {
  vi.useRealTimers();
  focusManager.setFocused(undefined);
});

const instance = (part: object) => ({ status: 'running', currentJob: null, error: null, ...part }) as Instance;

test('an instance whose change could not be undone takes no orders, though nothing happens to it', () => {
  const stuck = instance({ status: 'error', error: { code: 'undo_failed', message: 'not undone' } });
  expect([isWorking(stuck), isStuck(stuck), isBlocked(stuck)]).toEqual([false, true, true]);
});

test('what failed in another way can be tried again', () => {
  const failed = instance({ status: 'error', error: { code: 'gateway_exited', message: 'it exited' } });
  expect([isWorking(failed), isStuck(failed), isBlocked(failed)]).toEqual([false, false, false]);
});

test('while a job runs nothing else can be asked for', () => {
  expect(isBlocked(instance({ currentJob: { kind: 'stop' } }))).toBe(true);
  expect(isBlocked(instance({ status: 'starting' }))).toBe(true);
});

test('the devices are asked for while the page is visible, and seldom while none of them waits', async () => {
  vi.useFakeTimers();
  const devices: Schemas['Devices'] = { pending: [], paired: [], leftOut: 0 };
  const queryFn = vi.fn(async () => devices);
  const refetchInterval = () => requestsInterval(devices);
  const end = new QueryObserver(queryClient, { ...devicesQuery('x'), queryFn, refetchInterval }).subscribe(() => {});
  const asked = async (minutes: number) => {
    queryFn.mockClear();
    await vi.advanceTimersByTimeAsync(minutes * 60_000);
    return queryFn.mock.calls.length;
  };
  expect(await asked(10)).toBe(10);
  focusManager.setFocused(false);
  expect(await asked(10)).toBe(0);
  focusManager.setFocused(true);
  expect(await asked(10)).toBe(10);
  devices.pending.push({} as Schemas['PendingDevice']);
  await asked(2);
  expect(await asked(10)).toBe(40);
  end();
});
