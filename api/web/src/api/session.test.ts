import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ApiError } from './client';
import { queryClient } from './query-client';
import { hasEnded, meQuery, signedIn, signedOut, type User, watchSession } from './session';

const user = { id: 'x', email: 'eve@test.example', role: 'user' } as User;
const askAgain = () => queryClient.fetchQuery({ ...meQuery, staleTime: 0 });
const problem = (status: number, code: string) => Response.json({ code }, { status });
let stop: () => void;

beforeEach(() => {
  stop = watchSession();
});
afterEach(() => stop());

it('tells a session that has ended from a person who has signed out', async () => {
  vi.spyOn(globalThis, 'fetch').mockImplementation(async () => problem(401, 'unauthenticated'));
  expect(await askAgain()).toBeNull();
  expect(hasEnded(), 'nobody was signed in').toBe(false);
  signedIn(user);
  await askAgain();
  await askAgain();
  expect(hasEnded()).toBe(true);
  signedIn(user);
  expect(hasEnded()).toBe(false);
  signedOut();
  await askAgain();
  expect(hasEnded()).toBe(false);
});

it('asks anew who somebody is when a call is refused for it', async () => {
  signedIn(user);
  for (const [status, code, anew] of [
    [403, 'insufficient_scope', false],
    [403, 'admin_only', true],
    [401, 'unauthenticated', true],
  ] as const) {
    const queryFn = () => Promise.reject(new ApiError(status, { code }));
    await expect(queryClient.fetchQuery({ queryKey: [code], queryFn })).rejects.toThrow();
    expect(queryClient.getQueryState(meQuery.queryKey)?.isInvalidated, code).toBe(anew);
    signedIn(user);
  }
});
