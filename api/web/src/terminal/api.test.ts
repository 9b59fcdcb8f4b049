import { afterEach, expect, it, vi } from 'vitest';
import { listTerminals, terminalApi } from './api';
import { RequestFailure } from './connection';

const asked: { method: string; path: string; body: unknown }[] = [];

function answer(status: number, body?: object) {
  asked.length = 0;
  vi.stubGlobal('fetch', async (request: Request) => {
    const text = await request.text();
    asked.push({
      method: request.method,
      path: new URL(request.url).pathname,
      body: text ? JSON.parse(text) : undefined,
    });
    return new Response(body ? JSON.stringify(body) : null, { status });
  });
}

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('opens a shell, or a command of the list', async () => {
  answer(201, { terminalId: 't1', ticket: 'ab', expiresIn: 30 });
  const size = { cols: 80, rows: 24 };
  expect(await terminalApi('abc', null).open(size)).toMatchObject({ terminalId: 't1', ticket: 'ab' });
  await terminalApi('abc', 'openclaw channels add').open(size);
  expect(asked).toEqual([
    { method: 'POST', path: '/api/instances/abc/terminals', body: size },
    { method: 'POST', path: '/api/instances/abc/terminals', body: { ...size, command: 'openclaw channels add' } },
  ]);
});

it('asks for tickets, and ends terminals', async () => {
  answer(204);
  await terminalApi('abc', null).end('t/1');
  expect(asked).toEqual([{ method: 'DELETE', path: '/api/terminals/t%2F1', body: undefined }]);
});

it('hands on what the server says against it', async () => {
  answer(409, { status: 409, code: 'not_running', detail: 'Start the instance first.' });
  const failure = await terminalApi('abc', null)
    .ticket('t1')
    .catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(RequestFailure);
  expect(failure).toMatchObject({ status: 409, code: 'not_running', message: 'Start the instance first.' });
});

/** Says that the instance wakes, then how its job went, then that a terminal is open. */
function wakes(job: object) {
  const says = [
    [
      409,
      { status: 409, code: 'waking', detail: 'It is waking up.', job: { id: 'j1', kind: 'start', status: 'queued' } },
    ],
    [200, { id: 'j1', kind: 'start', ...job }],
    [201, { terminalId: 't1', ticket: 'ab', expiresIn: 30 }],
  ] as const;
  let at = 0;
  vi.stubGlobal('fetch', async () => {
    const [status, body] = says[at++] ?? says[2];
    return Response.json(body, { status });
  });
}

it('waits for an instance that wakes, and then opens a shell in it', async () => {
  vi.useFakeTimers();
  wakes({ status: 'succeeded' });
  const opened = terminalApi('abc', null).open({ cols: 80, rows: 24 });
  await vi.advanceTimersByTimeAsync(1_500);
  expect(await opened).toMatchObject({ terminalId: 't1', ticket: 'ab' });
});

it('hands on why an instance did not wake', async () => {
  vi.useFakeTimers();
  wakes({ status: 'failed', error: { code: 'gateway_exited', message: 'The gateway exited.' } });
  const failure = terminalApi('abc', null)
    .open({ cols: 80, rows: 24 })
    .catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(1_500);
  expect(await failure).toBeInstanceOf(RequestFailure);
  expect(await failure).toMatchObject({ status: 409, message: 'The gateway exited.' });
});

it('lists what is open', async () => {
  const items = [{ id: 't1', command: null, startedAt: '2026-11-25T12:00:00Z' }];
  answer(200, { items, nextCursor: null });
  expect(await listTerminals('abc', new AbortController().signal)).toEqual(items);
});
