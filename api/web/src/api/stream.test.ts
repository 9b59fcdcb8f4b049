import { afterEach, expect, test, vi } from 'vitest';
import { ApiError } from './client';
import { EventParser, follow, keepFollowing, type StreamEvent } from './stream';

afterEach(() => vi.unstubAllGlobals());

/** A server that answers one attempt after the other. */
function serve(...answers: (() => Response)[]) {
  const asked: Record<string, string>[] = [];
  vi.stubGlobal('fetch', (_: string, init: { headers: Record<string, string> }) => {
    asked.push(init.headers);
    const answer = answers[asked.length - 1];
    return answer ? Promise.resolve(answer()) : Promise.reject(new TypeError('offline'));
  });
  return asked;
}

const stream = (text: string) => () => new Response(text, { headers: { 'content-type': 'text/event-stream' } });

test('events are cut out of whatever comes, wherever it is cut', () => {
  const text = ': ping\n\nid: 7\nevent: line\ndata: {"a":\ndata: 1}\n\ndata: x\r\n\r\nevent: end\n\n';
  for (const size of [1, 3, 1000]) {
    const parser = new EventParser();
    const events: StreamEvent[] = [];
    for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
    expect(events).toEqual([
      { id: '7', name: 'line', data: '{"a":\n1}' },
      { id: undefined, name: 'message', data: 'x' },
      { id: undefined, name: 'end', data: '' },
    ]);
  }
});

test('a lost stream goes on after the last event that was seen', async () => {
  const asked = serve(stream('id: 1\ndata: a\n\nid: 2\ndata: b\n\n'), stream('id: 3\ndata: c\n\nevent: end\n\n'));
  const seen: string[] = [];
  const states: boolean[] = [];
  await follow('/x', {
    signal: new AbortController().signal,
    pause: 1,
    onState: (open) => states.push(open),
    onEvent: (event) => {
      if (event.name === 'end') return true;
      seen.push(event.data);
      return false;
    },
  });
  expect(seen).toEqual(['a', 'b', 'c']);
  expect(states).toEqual([true, false, true]);
  expect(asked.map((headers) => headers['last-event-id'])).toEqual([undefined, '2']);
});

test('trouble is waited out, a refusal is final', async () => {
  const problem = (status: number, code: string) => () =>
    new Response(JSON.stringify({ code, detail: code }), { status });
  const asked = serve(problem(503, 'unavailable'), problem(429, 'rate_limited'), problem(404, 'not_found'));
  const following = follow('/x', { signal: new AbortController().signal, pause: 1, onEvent: () => false });
  await expect(following).rejects.toBeInstanceOf(ApiError);
  expect(asked).toHaveLength(3);
});

test('a gateway that ends and comes back is heard again, where it was', async () => {
  const refused = () => new Response(JSON.stringify({ code: 'not_running' }), { status: 409 });
  const end = 'event: end\n\n';
  const asked = serve(stream(`id: 1\ndata: a\n\n${end}`), refused, stream(`id: 2\ndata: b\n\n${end}`), stream(end));
  const leave = new AbortController();
  const seen: string[] = [];
  await keepFollowing('/x', {
    signal: leave.signal,
    again: 1,
    onEvent: (event) => {
      if (asked.length === 4) leave.abort();
      if (event.name === 'end') return true;
      seen.push(event.data);
      return false;
    },
  });
  expect(seen).toEqual(['a', 'b']);
  expect(asked.map((headers) => headers['last-event-id'])).toEqual([undefined, '1', '1', '2']);
});
