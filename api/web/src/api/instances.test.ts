import { expect, test } from 'vitest';
import { type Instance, isBlocked, isStuck, isWorking } from './instances';

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
