import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GIVE_UP_MS } from './backoff';
import { Connection, type ConnectionState, RequestFailure, type Screen } from './connection';

/** A socket whose server is the test. */
class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readonly url: URL;
  readonly protocols: string[];
  readyState = 1;
  bufferedAmount = 0;
  sent: (string | Uint8Array)[] = [];
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;

  constructor(url: string, protocols: string[]) {
    this.url = new URL(url);
    this.protocols = protocols;
    FakeSocket.all.push(this);
  }

  send(data: string | Uint8Array) {
    this.sent.push(data);
  }

  close() {
    this.readyState = 3;
  }

  says(message: object) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  prints(text: string) {
    this.onmessage?.({ data: new TextEncoder().encode(text).buffer });
  }

  drops(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  /** What was said to the server, by type. */
  told(type: string): unknown[] {
    const texts = this.sent.filter((data) => typeof data === 'string').map((data) => JSON.parse(data));
    return texts.filter((message) => message.type === type);
  }

  get typed(): string {
    const frames = this.sent.filter((data) => typeof data !== 'string');
    return frames.map((bytes) => new TextDecoder().decode(bytes)).join('');
  }
}

/** An emulator that parses when it is told to. */
class SlowScreen implements Screen {
  text = '';
  resets = 0;
  waiting: (() => void)[] = [];

  write(bytes: Uint8Array, parsed: () => void) {
    this.waiting.push(() => {
      this.text += new TextDecoder().decode(bytes);
      parsed();
    });
  }

  reset() {
    this.waiting.push(() => {
      this.text = '';
      this.resets += 1;
    });
  }

  parse() {
    for (const step of this.waiting.splice(0)) step();
  }
}

const utf8 = (text: string) => new TextEncoder().encode(text);
const hello = (offset: number, replay = 0, reset = false) => ({ type: 'hello', offset, replay, reset });
const socket = () => FakeSocket.all.at(-1) as FakeSocket;

/** What a test has left open; it would hear of the network in the tests after it. */
const made: Connection[] = [];

function setUp(more: { terminalId?: string } = {}) {
  const screen = new SlowScreen();
  const api = {
    open: vi.fn(async () => ({ terminalId: 't1', ticket: 'first' })),
    ticket: vi.fn(async () => ({ ticket: 'next' })),
    end: vi.fn(async () => {}),
  };
  const states: ConnectionState[] = [];
  const warnings: unknown[] = [];
  const connection = new Connection({
    api,
    screen,
    size: { cols: 80, rows: 24 },
    page: 'https://panel.example/',
    onState: (state) => states.push(state),
    onWarning: (warning) => warnings.push(warning),
    ...more,
  });
  made.push(connection);
  return { api, connection, screen, states, warnings };
}

async function opened() {
  const all = setUp();
  all.connection.start();
  await vi.advanceTimersByTimeAsync(0);
  socket().says(hello(0));
  return all;
}

/** Lets one attempt to attach again come and be welcomed. */
async function again(offset: number, replay = 0, reset = false) {
  const before = FakeSocket.all.length;
  await vi.advanceTimersByTimeAsync(20_000);
  expect(FakeSocket.all.length).toBeGreaterThan(before);
  socket().says(hello(offset, replay, reset));
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', FakeSocket);
  FakeSocket.all = [];
});

afterEach(() => {
  for (const connection of made.splice(0)) connection.dispose();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('a terminal', () => {
  it('opens, and says its size once it is attached', async () => {
    const { api, states } = await opened();
    expect(api.open).toHaveBeenCalledWith({ cols: 80, rows: 24 });
    expect(socket().url.href).toBe('wss://panel.example/api/terminals/t1/ws');
    expect(socket().protocols).toEqual(['clawdeploy-term.v1', 'ticket.first']);
    expect(socket().told('resize')).toEqual([{ type: 'resize', cols: 80, rows: 24 }]);
    expect(states.map((state) => state.is)).toEqual(['opening', 'attaching', 'open']);
  });

  it('is typed into', async () => {
    const { connection } = await opened();
    connection.send(utf8('ls 你\r'));
    expect(socket().typed).toBe('ls 你\r');
  });

  it('tells the size when a window that is dragged rests', async () => {
    const { connection } = await opened();
    for (let cols = 81; cols <= 120; cols++) connection.resize({ cols, rows: 30 });
    vi.advanceTimersByTime(100);
    expect(socket().told('resize').slice(1)).toEqual([{ type: 'resize', cols: 120, rows: 30 }]);
  });

  it('acknowledges what is parsed, and not what only came', async () => {
    const { screen } = await opened();
    for (let i = 0; i < 4; i++) socket().prints('x'.repeat(40_000));
    expect(socket().told('ack')).toEqual([]);
    screen.parse();
    expect(socket().told('ack')).toEqual([
      { type: 'ack', offset: 80_000 },
      { type: 'ack', offset: 160_000 },
    ]);
  });

  it('ends with the exit code of its shell', async () => {
    const { states, connection, api } = await opened();
    socket().says({ type: 'exit', code: 130 });
    socket().drops(1000);
    expect(states.at(-1)).toEqual({ is: 'ended', reason: 'exited', exitCode: 130, message: '' });
    await connection.end();
    expect(api.end).not.toHaveBeenCalled();
  });

  it('is ended by whoever closes it', async () => {
    const { connection, api } = await opened();
    await connection.end();
    expect(socket().told('close')).toEqual([{ type: 'close' }]);
    expect(api.end).toHaveBeenCalledWith('t1');
  });

  it('is ended if it comes when nobody waits for it any more', async () => {
    const { connection, api } = setUp();
    connection.start();
    connection.dispose();
    await vi.advanceTimersByTimeAsync(0);
    expect(api.end).toHaveBeenCalledWith('t1');
    expect(FakeSocket.all).toEqual([]);
  });

  it('says in the words of the server why it is not opened', async () => {
    const { connection, api, states } = setUp();
    api.open.mockRejectedValue(new RequestFailure(429, 'terminal_limit', 'You have five terminals open.'));
    connection.start();
    await vi.advanceTimersByTimeAsync(0);
    const ended = { is: 'ended', reason: 'refused', exitCode: null, message: 'You have five terminals open.' };
    expect(states.at(-1)).toEqual(ended);
  });

  it('is opened after all when the server can be reached again', async () => {
    const { connection, api, states } = setUp();
    api.open.mockRejectedValueOnce(new TypeError('Failed to fetch'));
    connection.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(states.at(-1)).toMatchObject({ is: 'ended', reason: 'unreachable' });
    connection.reconnect();
    await vi.advanceTimersByTimeAsync(0);
    socket().says(hello(0));
    expect(states.at(-1)).toEqual({ is: 'open' });
  });

  it('warns, and stops to warn at the next key', async () => {
    const { connection, warnings } = await opened();
    const warning = { code: 'idle', message: 'Closes in a minute.' };
    socket().says({ type: 'warning', ...warning });
    connection.send(utf8('x'));
    expect(warnings).toEqual([warning, null]);
  });
});

describe('a lost connection', () => {
  it('goes on where it was, with a new ticket', async () => {
    const { screen } = await opened();
    socket().prints('hello ');
    socket().drops();
    await again(6);
    expect(socket().url.searchParams.get('from')).toBe('6');
    expect(socket().protocols[1]).toBe('ticket.next');
    socket().prints('world');
    screen.parse();
    expect(screen.text).toBe('hello world');
    expect(screen.resets).toBe(0);
  });

  it('begins anew where the server no longer has what is missing', async () => {
    const { screen } = await opened();
    socket().prints('old ');
    socket().drops();
    await again(9_000_000, 3, true);
    socket().prints('new');
    screen.parse();
    expect(screen.text).toBe('new');
    expect(screen.resets).toBe(1);
    socket().drops();
    await again(9_000_003);
    expect(socket().url.searchParams.get('from')).toBe('9000003');
  });

  it('loses and doubles nothing over many drops, wherever they fall', async () => {
    const { screen } = await opened();
    const whole = Array.from({ length: 900 }, (_, i) => `line ${i}\r\n`).join('');
    let at = 0;
    for (let round = 0; at < whole.length; round++) {
      const printed = Math.min(whole.length, at + 997);
      const came = Math.min(printed, at + ((round * 331) % 998));
      socket().prints(whole.slice(at, came));
      if (round % 2 === 0) screen.parse();
      socket().drops();
      // The shell prints on while nobody is attached.
      await again(came, printed - came);
      expect(socket().url.searchParams.get('from')).toBe(String(came));
      socket().prints(whole.slice(came, printed));
      at = printed;
      await vi.advanceTimersByTimeAsync(6_000);
    }
    screen.parse();
    expect(screen.text).toBe(whole);
  });

  it('keeps answers to old questions from the shell', async () => {
    const { connection, screen } = await opened();
    socket().drops();
    await again(0, 4);
    socket().prints('\x1b[c!and more');
    connection.send(utf8('\x1b[?1;2c'));
    expect(socket().typed).toBe('');
    screen.parse();
    connection.send(utf8('x'));
    expect(socket().typed).toBe('x');
  });

  it('does not take what a socket before it says', async () => {
    const { screen } = await opened();
    const old = socket();
    old.drops();
    await again(0);
    old.prints('late');
    old.drops(4404);
    screen.parse();
    expect(screen.text).toBe('');
  });

  it('does not acknowledge over a new one what came over the old one', async () => {
    const { screen } = await opened();
    socket().prints('x'.repeat(70_000));
    socket().drops();
    await again(70_000);
    screen.parse();
    expect(socket().told('ack')).toEqual([]);
  });

  it('is tried for ever longer, and not for ever', async () => {
    const { api, connection, states } = await opened();
    api.ticket.mockRejectedValue(new TypeError('Failed to fetch'));
    socket().drops();
    await vi.advanceTimersByTimeAsync(GIVE_UP_MS + 60_000);
    expect(states.at(-1)).toMatchObject({ is: 'ended', reason: 'unreachable' });
    const tried = api.ticket.mock.calls.length;
    expect(tried).toBeGreaterThan(15);
    expect(tried).toBeLessThan(60);
    api.ticket.mockResolvedValue({ ticket: 'again' });
    connection.reconnect();
    await vi.advanceTimersByTimeAsync(0);
    socket().says(hello(0));
    expect(states.at(-1)).toEqual({ is: 'open' });
  });

  it('counts as lost when it is welcomed and dropped over and over', async () => {
    const { states } = await opened();
    for (let i = 0; i < 200 && states.at(-1)?.is !== 'ended'; i++) {
      socket().drops();
      await vi.advanceTimersByTimeAsync(15_000);
      socket().says(hello(0));
      // Shorter than what makes a connection a good one.
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(states.at(-1)).toMatchObject({ is: 'ended', reason: 'unreachable' });
  });

  it('is given up where the server never says hello', async () => {
    const { connection, states } = setUp();
    connection.start();
    await vi.advanceTimersByTimeAsync(11_000);
    expect(FakeSocket.all[0]?.readyState).toBe(3);
    expect(states.some((state) => state.is === 'reconnecting')).toBe(true);
    connection.dispose();
  });

  it('ends with what the server answers to the next ticket', async () => {
    for (const [status, reason] of [
      [401, 'signed_out'],
      [403, 'forbidden'],
      [404, 'gone'],
      [409, 'stopped'],
    ] as const) {
      const { api, states, connection } = await opened();
      api.ticket.mockRejectedValue(new RequestFailure(status, 'code', 'Words.'));
      socket().drops();
      await vi.advanceTimersByTimeAsync(1000);
      expect(states.at(-1)).toMatchObject({ is: 'ended', reason, message: 'Words.' });
      connection.dispose();
    }
  });

  it('can be tried again by hand where the instance did not wake in time', async () => {
    const { api, states, connection } = setUp();
    api.open.mockRejectedValueOnce(new RequestFailure(409, 'wake_timeout', ''));
    connection.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(states.at(-1)).toMatchObject({ is: 'ended', reason: 'asleep' });
    connection.reconnect();
    await vi.advanceTimersByTimeAsync(0);
    socket().says(hello(0));
    expect(states.at(-1)).toEqual({ is: 'open' });
  });

  it('is made again where this page was too slow for the server', async () => {
    const { states } = await opened();
    socket().says({ type: 'error', code: 'stalled', message: 'Too slow.' });
    socket().drops(4008);
    await again(9_000, 0, true);
    expect(states.at(-1)).toEqual({ is: 'open' });
    socket().says({ type: 'error', code: 'idle', message: 'Nothing was typed.' });
    socket().drops(4008);
    expect(states.at(-1)).toMatchObject({ is: 'ended', reason: 'idle', message: 'Nothing was typed.' });
  });

  it('is seen as soon as the browser knows that it is offline, though the socket does not end', async () => {
    const { connection, screen, states } = await opened();
    const before = socket();
    window.dispatchEvent(new Event('offline'));
    expect(states.at(-1)).toEqual({ is: 'reconnecting', attempt: 1 });
    expect(before.readyState).toBe(3);
    // What was under way all the same is asked for again, and would be there twice.
    before.prints('late');
    await again(0, 4);
    expect(socket()).not.toBe(before);
    socket().prints('late');
    screen.parse();
    expect(screen.text).toBe('late');
    connection.dispose();
    const { length } = states;
    window.dispatchEvent(new Event('offline'));
    expect(states.length).toBe(length);
  });

  it('is seen while it is being attached to, too', async () => {
    const { connection, states } = setUp();
    connection.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(states.at(-1)).toEqual({ is: 'attaching' });
    window.dispatchEvent(new Event('offline'));
    expect(states.at(-1)).toEqual({ is: 'reconnecting', attempt: 1 });
    connection.dispose();
  });

  it('is tried again at once when the network comes back, however long the next try is away', async () => {
    const { api, states } = await opened();
    api.ticket.mockRejectedValue(new TypeError('Failed to fetch'));
    window.dispatchEvent(new Event('offline'));
    await vi.advanceTimersByTimeAsync(60_000);
    api.ticket.mockResolvedValue({ ticket: 'again' });
    const before = FakeSocket.all.length;
    window.dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.all.length).toBe(before + 1);
    socket().says(hello(0));
    expect(states.at(-1)).toEqual({ is: 'open' });
  });

  it('is replaced at once when the network comes back', async () => {
    const { api } = await opened();
    const before = socket();
    window.dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(300);
    expect(before.readyState).toBe(3);
    expect(api.ticket).toHaveBeenCalledTimes(1);
  });

  it('is replaced after the machine has slept', async () => {
    await opened();
    const before = socket();
    vi.setSystemTime(Date.now() + 3_600_000);
    await vi.advanceTimersByTimeAsync(6_000);
    expect(before.readyState).toBe(3);
    expect(socket()).not.toBe(before);
  });
});

describe('a terminal that another window has taken', () => {
  it('is not fought over, and can be taken back', async () => {
    const { connection, states, api } = await opened();
    socket().prints('abc');
    socket().drops(4001);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(states.at(-1)).toMatchObject({ is: 'ended', reason: 'elsewhere' });
    expect(api.ticket).not.toHaveBeenCalled();
    connection.reconnect();
    await vi.advanceTimersByTimeAsync(0);
    expect(socket().url.searchParams.get('from')).toBe('3');
  });
});

describe('a page that is loaded again', () => {
  it('attaches to the terminal that is there, and gets all that is kept of it', async () => {
    const { api, connection, screen } = setUp({ terminalId: 't7' });
    connection.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(api.open).not.toHaveBeenCalled();
    expect(socket().url.pathname + socket().url.search).toBe('/api/terminals/t7/ws');
    socket().says(hello(500, 4, true));
    socket().prints('kept');
    screen.parse();
    expect(screen.text).toBe('kept');
  });
});
