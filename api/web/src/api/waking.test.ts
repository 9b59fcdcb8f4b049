import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { aJob } from '@/test/examples';
import { ApiError, isProblem } from './client';
import type { Job } from './instances';
import { onceAwake, PATIENCE_MS } from './waking';

/** What the server says of a job each time it is asked for; the last word stays. */
let told: Record<string, (Partial<Job> | number)[]>;
const looked: string[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  told = {};
  looked.length = 0;
  vi.stubGlobal('fetch', async (request: Request) => {
    const id = new URL(request.url).pathname.replace('/api/jobs/', '');
    looked.push(id);
    const says = told[id] ?? [];
    const now = says.length > 1 ? says.shift() : says[0];
    if (typeof now === 'number') return Response.json({}, { status: now });
    return Response.json(aJob({ id, ...now }));
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const waking = (id?: string) => new ApiError(409, { code: 'waking' as never, ...(id ? { job: aJob({ id }) } : {}) });

/** Refused so often, then answered. */
function answers(...refusals: Error[]) {
  return vi.fn(async () => {
    const refusal = refusals.shift();
    if (refusal) throw refusal;
    return 'link';
  });
}

/** What it comes to within a time. */
async function within(ms: number, asked: Promise<unknown>): Promise<unknown> {
  const result = asked.catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(ms);
  return Promise.race([result, Promise.resolve('still waiting')]);
}

it('does not wait for an instance that is awake', async () => {
  const onWaking = vi.fn();
  expect(await onceAwake('x', answers(), onWaking)).toBe('link');
  expect(onWaking).not.toHaveBeenCalled();
});

it('asks again once the job has woken it', async () => {
  told.start = [{ status: 'queued' }, { status: 'running' }, { status: 'succeeded' }];
  const ask = answers(waking('start'));
  const onWaking = vi.fn();
  expect(await within(3_500, onceAwake('x', ask, onWaking))).toBe('link');
  expect(ask).toHaveBeenCalledTimes(2);
  expect(onWaking).toHaveBeenCalledOnce();
});

it('lets it fall asleep first, however that ends', async () => {
  told.stop = [{ kind: 'stop', status: 'cancelled' }];
  told.start = [{ status: 'succeeded' }];
  const onWaking = vi.fn();
  expect(await within(5_000, onceAwake('x', answers(waking('stop'), waking('start')), onWaking))).toBe('link');
  expect(looked).toEqual(['stop', 'start']);
  expect(onWaking).toHaveBeenCalledOnce();
});

it('takes no harm from an answer that fails to come, or from no job', async () => {
  told.start = [503, { status: 'succeeded' }];
  expect(await within(5_000, onceAwake('x', answers(waking('start'), waking())))).toBe('link');
});

it('says why it did not wake, and does not begin anew', async () => {
  const error = { code: 'gateway_exited', message: 'The gateway exited.' };
  told.failing = [{ status: 'failed', error }];
  const ask = answers(waking('failing'));
  const failure = await within(2_000, onceAwake('x', ask));
  expect(failure).toMatchObject({ status: 409, ...error });
  told.cancelled = [{ status: 'cancelled' }];
  expect(isProblem(await within(2_000, onceAwake('x', answers(waking('cancelled')))), 'wake_cancelled')).toBe(true);
  expect(ask).toHaveBeenCalledOnce();
});

it('hands on what else is said against it, at once', async () => {
  const full = new ApiError(409, { code: 'host_full' as never });
  expect(await onceAwake('x', answers(full)).catch((error) => error)).toBe(full);
});

it('gives up after a while', async () => {
  told.start = [{ status: 'running' }];
  const asked = onceAwake('x', answers(waking('start')));
  expect(await within(PATIENCE_MS - 1_000, asked)).toBe('still waiting');
  expect(isProblem(await within(3_000, asked), 'wake_timeout')).toBe(true);
});

it('gives up likewise if it is told so again and again', async () => {
  told.start = [{ status: 'succeeded' }];
  const ask = vi.fn(async () => {
    throw waking('start');
  });
  expect(isProblem(await within(PATIENCE_MS + 3_000, onceAwake('x', ask)), 'wake_timeout')).toBe(true);
  expect(ask.mock.calls.length).toBeLessThanOrEqual(PATIENCE_MS / 1_000 + 1);
});
