// Server-sent events over fetch. Unlike EventSource it says why a stream was refused, and it survives a laptop's sleep:
// a stream that is silent for longer than the server's pings is given up and opened anew where it was.
import { ApiError, problemOf } from './client';

/** One event of a stream. */
export type StreamEvent = { id: string | undefined; name: string; data: string };

/** The server says something at least this often; twice of it without a word is a dead connection. */
const PING_MS = 15_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

/** Splits a stream's text into events; what is not complete yet stays. */
export class EventParser {
  #rest = '';

  push(text: string): StreamEvent[] {
    this.#rest += text;
    const events: StreamEvent[] = [];
    for (;;) {
      const end = /\r?\n\r?\n/.exec(this.#rest);
      if (!end) return events;
      const event = parseBlock(this.#rest.slice(0, end.index));
      this.#rest = this.#rest.slice(end.index + end[0].length);
      if (event) events.push(event);
    }
  }
}

function parseBlock(block: string): StreamEvent | undefined {
  let id: string | undefined;
  let name = 'message';
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    // A line that begins with a colon is a ping.
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'event') name = value;
    else if (field === 'id') id = value;
  }
  return data.length || name !== 'message' ? { id, name, data: data.join('\n') } : undefined;
}

export type FollowOptions = {
  signal: AbortSignal;
  /** Returns `true` when nothing comes after this event. */
  onEvent: (event: StreamEvent) => boolean | undefined;
  /** The stream is open (`true`), or it was lost and will be opened again (`false`). */
  onState?: (open: boolean) => void;
  /** Id after which the stream begins. */
  after?: string;
  /** Wait before a first new attempt, in milliseconds. */
  pause?: number;
};

/**
 * Follows a stream until its last event, until `signal` says so, or until the server refuses it for good (then it throws
 * an `ApiError`). Lost connections are taken up again where they were, ever more patiently.
 */
export async function follow(path: string, options: FollowOptions): Promise<void> {
  const { signal, onEvent, onState } = options;
  let after = options.after;
  let pause = options.pause ?? FIRST_PAUSE_MS;
  while (!signal.aborted) {
    const attempt = new AbortController();
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => attempt.abort(), PING_MS * 2);
    };
    try {
      heard();
      const headers: Record<string, string> = { accept: 'text/event-stream' };
      if (after !== undefined) headers['last-event-id'] = after;
      const response = await fetch(path, { headers, signal: AbortSignal.any([signal, attempt.signal]) });
      if (!response.ok) throw problemOf(response.status, await response.json().catch(() => undefined));
      if (!response.body) throw new ApiError(0, {});
      onState?.(true);
      const parser = new EventParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        heard();
        pause = options.pause ?? FIRST_PAUSE_MS;
        for (const event of parser.push(value)) {
          if (event.id !== undefined) after = event.id;
          if (onEvent(event)) return;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !error.transient) throw error;
    } finally {
      clearTimeout(silence);
      attempt.abort();
    }
    onState?.(false);
    await rest(pause * (0.75 + Math.random() / 2), signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

/** Pause until what has ended is asked for again, in milliseconds. */
const AGAIN_MS = 2_000;

/**
 * Follows a stream for as long as `signal` lets it: one that has ended, or was refused, is asked for again where it was. A gateway
 * that crashes is back in a moment, and nobody may have noticed.
 */
export async function keepFollowing(path: string, options: FollowOptions & { again?: number }): Promise<void> {
  const { signal, again = AGAIN_MS } = options;
  let after = options.after;
  const onEvent = (event: StreamEvent) => {
    if (event.id !== undefined) after = event.id;
    return options.onEvent(event);
  };
  while (!signal.aborted) {
    await follow(path, { ...options, onEvent, ...(after === undefined ? {} : { after }) }).catch(() => {});
    if (signal.aborted) return;
    options.onState?.(false);
    await rest(again, signal);
  }
}

/** Waits, or less when there is reason to hurry: the network is back, or somebody looks again. */
function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener('online', end);
      document.removeEventListener('visibilitychange', end);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    addEventListener('online', end);
    document.addEventListener('visibilitychange', end);
    signal.addEventListener('abort', end);
  });
}
