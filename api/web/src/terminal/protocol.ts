/**
 * What a browser and the server say to each other over a terminal's socket.
 *
 * Binary frames are the terminal's bytes, both ways and as they are: no prefix, no encoding, cut anywhere. Text frames are JSON
 * and say something about the terminal. Bytes that the shell printed are counted from its start; a position in that count is
 * an *offset*.
 */

/** The subprotocol. The ticket goes beside it, so that it stands in no address and no log. */
export const PROTOCOL = 'clawdeploy-term.v1';

/** Most that one binary frame to the server may hold, in bytes; larger ones end the connection. */
export const MAX_INPUT_FRAME = 32 << 10;

/** The sizes that the server accepts. */
const COLS = { least: 2, most: 1000 };
const ROWS = { least: 1, most: 500 };

/** What the server says. */
export type ServerMessage =
  /** First of all: where the bytes that follow begin, and how many of them were printed before this connection. */
  | { type: 'hello'; offset: number; reset: boolean; replay: number }
  /** The shell ended; nothing is printed after it. Null: it did not end by itself. */
  | { type: 'exit'; code: number | null }
  /** Something will happen unless somebody acts. */
  | { type: 'warning'; code: string; message: string }
  /** Why the connection is closed next. */
  | { type: 'error'; code: string; message: string };

/** What the browser says. */
export type ClientMessage =
  /** Everything before the offset is on the screen: more may be sent. */
  | { type: 'ack'; offset: number }
  | { type: 'resize'; cols: number; rows: number }
  /** Ends the shell. */
  | { type: 'close' };

/** A size of the terminal, in characters. */
export type Size = { cols: number; rows: number };

/** Why a socket was closed, as the server numbers it. */
export const CLOSED = {
  normal: 1000,
  attachedElsewhere: 4001,
  idle: 4008,
  ticket: 4401,
  forbidden: 4403,
  gone: 4404,
  stopped: 4409,
} as const;

/** How a terminal ended, or why it is cut off. */
export type EndReason =
  | 'exited'
  | 'closed'
  | 'elsewhere'
  | 'idle'
  | 'signed_out'
  | 'forbidden'
  | 'gone'
  | 'stopped'
  /** It did not wake in time. */
  | 'asleep'
  | 'unreachable'
  | 'refused';

/**
 * What follows from a close code, and from the code of the error that was said before it. `retry`: the connection was lost and
 * not the terminal.
 */
export function meaning(code: number, error = ''): EndReason | 'retry' {
  switch (code) {
    case CLOSED.normal:
      return 'closed';
    case CLOSED.attachedElsewhere:
      return 'elsewhere';
    case CLOSED.idle:
      // A page that was too slow, in the background perhaps, has lost its connection and no more.
      return error === 'stalled' ? 'retry' : 'idle';
    case CLOSED.forbidden:
      return 'forbidden';
    case CLOSED.gone:
      return 'gone';
    case CLOSED.stopped:
      return 'stopped';
    default:
      // A ticket that was too old is no reason to give up: the next try comes with a new one.
      return 'retry';
  }
}

/** Whether what the reason took away may still be there or may come yet, so that trying again makes sense. */
export function mayComeBack(reason: EndReason): boolean {
  return reason === 'elsewhere' || reason === 'unreachable' || reason === 'asleep';
}

/** Reads a text frame; null: not one that this version knows. */
export function readMessage(text: string): ServerMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const message = value as Record<string, unknown>;
  switch (message.type) {
    case 'hello': {
      const { offset, reset, replay } = message;
      if (!isCount(offset) || !isCount(replay)) return null;
      return { type: 'hello', offset, reset: reset === true, replay };
    }
    case 'exit':
      return { type: 'exit', code: Number.isInteger(message.code) ? (message.code as number) : null };
    case 'warning':
    case 'error':
      return { type: message.type, code: asText(message.code), message: asText(message.message) };
    default:
      return null;
  }
}

export function writeMessage(message: ClientMessage): string {
  return JSON.stringify(message);
}

/** A size within what the server accepts. */
export function bounded({ cols, rows }: Size): Size {
  const within = (value: number, { least, most }: typeof COLS) =>
    Math.min(most, Math.max(least, Math.floor(value) || least));
  return { cols: within(cols, COLS), rows: within(rows, ROWS) };
}

/** The address of a terminal's socket, on the server that the page came from. */
export function socketUrl(page: string, terminalId: string, from: number | null): string {
  const url = new URL(`/api/terminals/${encodeURIComponent(terminalId)}/ws`, page);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  if (from !== null) url.searchParams.set('from', String(from));
  return url.href;
}

/** The subprotocols that a socket is asked for with. */
export function subprotocols(ticket: string): string[] {
  return [PROTOCOL, `ticket.${ticket}`];
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
