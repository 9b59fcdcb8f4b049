/**
 * One terminal's connection: opens it, attaches to it, and attaches again after the connection was lost.
 *
 * The shell lives in a worker. What is lost with a connection is only the connection: the next one says up to where it has
 * everything (`from`), and goes on there.
 */

import { delay, GIVE_UP_MS } from './backoff';
import { Flow } from './flow';
import { InputQueue } from './paste';
import {
  bounded,
  type ClientMessage,
  type EndReason,
  mayComeBack,
  meaning,
  readMessage,
  type Size,
  socketUrl,
  subprotocols,
  writeMessage,
} from './protocol';

/** How long a socket may take until the server's first word. */
const HELLO_MS = 10_000;

/** A connection that held so long is a good one: what was tried before it does not count any more. */
const STEADY_MS = 5_000;

/** A window that is dragged tells its size when it rests so long. */
const RESIZE_MS = 60;

/** If this page's clock is found to have jumped by so much, the machine has slept, and so have its connections. */
const WATCH_MS = 5_000;
const SLEPT_MS = 30_000;

const NO_ERROR = { code: '', message: '' };

export type ConnectionState =
  | { is: 'opening' }
  | { is: 'attaching' }
  | { is: 'open' }
  | { is: 'reconnecting'; attempt: number }
  | { is: 'ended'; reason: EndReason; exitCode: number | null; message: string };

/**
 * The requests beside the socket. What they throw is a {@link RequestFailure}, or means that there was no answer. To open one in an
 * instance that sleeps takes as long as that takes to wake.
 */
export type TerminalApi = {
  open(size: Size): Promise<{ terminalId: string; ticket: string }>;
  ticket(terminalId: string): Promise<{ ticket: string }>;
  end(terminalId: string): Promise<void>;
};

/** A request that the server answered, and refused. */
export class RequestFailure extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'RequestFailure';
    this.status = status;
    this.code = code;
  }
}

/** Where the terminal's bytes go. */
export type Screen = {
  /** Shows bytes, and calls back once they are parsed. */
  write(bytes: Uint8Array, parsed: () => void): void;
  /** Forgets everything that was shown, after what was written before. */
  reset(): void;
};

export type ConnectionOptions = {
  api: TerminalApi;
  screen: Screen;
  size: Size;
  /** A terminal that is there already; left out: a new one is opened. */
  terminalId?: string;
  /** The address of the page. */
  page?: string;
  onState?(state: ConnectionState): void;
  onWarning?(warning: { code: string; message: string } | null): void;
  onTerminal?(terminalId: string): void;
};

export class Connection {
  #options: ConnectionOptions;
  #flow = new Flow();
  #input = new InputQueue(() => (this.#state.is === 'open' ? this.#socket : null));
  #state: ConnectionState = { is: 'opening' };
  #socket: WebSocket | null = null;
  #terminalId: string | null;
  #size: Size;
  #attempt = 0;
  #lostAt: number | null = null;
  #helloSeen = false;
  #exit: { code: number | null } | null = null;
  #lastError = NO_ERROR;
  #resizeTimer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #helloTimer: ReturnType<typeof setTimeout> | undefined;
  #steadyTimer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #awakeAt = Date.now();
  #disposed = false;
  /** Counts attempts, so that what comes of an abandoned one is not taken for the current one's. */
  #turn = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#size = bounded(options.size);
    this.#terminalId = options.terminalId ?? null;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get terminalId(): string | null {
    return this.#terminalId;
  }

  /** Opens the terminal, or attaches to the one that is there. */
  start(): void {
    this.#watch = setInterval(() => this.#lookAtClock(), WATCH_MS);
    globalThis.addEventListener?.('online', this.#back);
    globalThis.addEventListener?.('offline', this.#away);
    if (this.#terminalId === null) void this.#open();
    else void this.#attach(null);
  }

  /** Input that somebody typed or pasted. Before everything old is shown, it is the emulator that answers to old questions. */
  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#state.is !== 'open' || !this.#flow.live) return;
    this.#options.onWarning?.(null);
    this.#input.push(bytes);
  }

  resize(size: Size): void {
    this.#size = bounded(size);
    clearTimeout(this.#resizeTimer);
    this.#resizeTimer = setTimeout(() => this.#tell({ type: 'resize', ...this.#size }), RESIZE_MS);
  }

  /** Tries again now: after everything was tried, after another window took the terminal, or instead of waiting. */
  reconnect(): void {
    if (this.#disposed) return;
    const state = this.#state;
    if (state.is === 'ended' && !mayComeBack(state.reason)) return;
    if (state.is === 'open' || state.is === 'attaching' || state.is === 'opening') return;
    this.#attempt = 0;
    this.#lostAt = Date.now();
    // The server was not reached when it was to be opened.
    if (this.#terminalId === null) void this.#open();
    else void this.#attach(null);
  }

  /** Ends the shell. */
  async end(): Promise<void> {
    const id = this.#terminalId;
    this.#tell({ type: 'close' });
    this.dispose();
    if (id !== null && this.#exit === null) await this.#options.api.end(id).catch(() => {});
  }

  /** Lets go of the terminal. Its shell goes on for a while, and can be attached to. */
  dispose(): void {
    this.#disposed = true;
    this.#drop();
    this.#input.clear();
    clearInterval(this.#watch);
    clearTimeout(this.#resizeTimer);
    globalThis.removeEventListener?.('online', this.#back);
    globalThis.removeEventListener?.('offline', this.#away);
  }

  async #open(): Promise<void> {
    this.#enter({ is: 'opening' });
    try {
      const { terminalId, ticket } = await this.#options.api.open(this.#size);
      this.#terminalId = terminalId;
      if (this.#disposed) {
        // Nobody waits for it any more.
        await this.#options.api.end(terminalId).catch(() => {});
        return;
      }
      this.#options.onTerminal?.(terminalId);
      await this.#attach(ticket);
    } catch (error) {
      if (error instanceof RequestFailure) this.#finish(refusal(error), error.message);
      else this.#finish('unreachable', '');
    }
  }

  async #attach(ticket: string | null): Promise<void> {
    this.#drop();
    const turn = this.#turn;
    const id = this.#terminalId;
    if (id === null) return;
    this.#enter({ is: 'attaching' });
    try {
      const used = ticket ?? (await this.#options.api.ticket(id)).ticket;
      if (turn !== this.#turn || this.#disposed) return;
      this.#connect(id, used);
    } catch (error) {
      if (turn !== this.#turn || this.#disposed) return;
      const final = error instanceof RequestFailure && error.status < 500 && error.status !== 429;
      if (final) this.#finish(refusal(error), error.message);
      else this.#retry();
    }
  }

  #connect(id: string, ticket: string): void {
    const turn = this.#turn;
    const from = this.#helloSeen ? this.#flow.received : null;
    const page = this.#options.page ?? globalThis.location.href;
    const socket = new WebSocket(socketUrl(page, id, from), subprotocols(ticket));
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#helloTimer = setTimeout(() => turn === this.#turn && this.#lost(), HELLO_MS);
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (turn !== this.#turn) return;
      if (typeof data === 'string') this.#hear(data);
      else this.#show(new Uint8Array(data));
    };
    socket.onclose = ({ code }) => {
      if (turn === this.#turn) this.#closed(code);
    };
  }

  #hear(text: string): void {
    const message = readMessage(text);
    switch (message?.type) {
      case 'hello':
        clearTimeout(this.#helloTimer);
        if (message.reset) this.#options.screen.reset();
        this.#flow.begin(message.offset, message.replay);
        this.#helloSeen = true;
        this.#lastError = NO_ERROR;
        this.#steadyTimer = setTimeout(() => {
          this.#attempt = 0;
          this.#lostAt = null;
        }, STEADY_MS);
        this.#enter({ is: 'open' });
        this.#tell({ type: 'resize', ...this.#size });
        break;
      case 'exit':
        this.#exit = { code: message.code };
        break;
      case 'warning':
        this.#options.onWarning?.({ code: message.code, message: message.message });
        break;
      case 'error':
        this.#lastError = message;
        break;
    }
  }

  #show(bytes: Uint8Array): void {
    for (const part of this.#flow.take(bytes)) {
      this.#options.screen.write(part.bytes, () => {
        const offset = this.#flow.parsed(part.end);
        if (offset !== null) this.#tell({ type: 'ack', offset });
      });
    }
  }

  #closed(code: number): void {
    const reason = this.#exit ? 'exited' : meaning(code, this.#lastError.code);
    if (reason === 'retry') this.#lost();
    else this.#finish(reason, this.#lastError.message);
  }

  #lost(): void {
    this.#drop();
    this.#lostAt ??= Date.now();
    this.#retry();
  }

  #retry(): void {
    this.#lostAt ??= Date.now();
    if (Date.now() - this.#lostAt > GIVE_UP_MS) {
      this.#finish('unreachable', this.#lastError.message);
      return;
    }
    this.#attempt += 1;
    this.#enter({ is: 'reconnecting', attempt: this.#attempt });
    this.#retryTimer = setTimeout(() => void this.#attach(null), delay(this.#attempt));
  }

  #finish(reason: EndReason, message: string): void {
    if (this.#disposed) return;
    this.#drop();
    this.#input.clear();
    this.#options.onWarning?.(null);
    this.#enter({ is: 'ended', reason, exitCode: this.#exit?.code ?? null, message });
  }

  /** Forgets the socket and everything that waits for it. */
  #drop(): void {
    this.#turn += 1;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#helloTimer);
    clearTimeout(this.#steadyTimer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close();
  }

  #tell(message: ClientMessage): void {
    if (this.#state.is === 'open' && this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(writeMessage(message));
    }
  }

  #enter(state: ConnectionState): void {
    if (this.#disposed) return;
    this.#state = state;
    this.#options.onState?.(state);
  }

  /** The network is there again: whatever connection there was is suspect, and waiting is over. */
  #back = (): void => {
    if (this.#disposed || this.#terminalId === null) return;
    if (this.#state.is === 'open') this.#lost();
    else if (this.#state.is === 'reconnecting') this.reconnect();
  };

  /** The network is gone. The socket's own end comes only when its closing times out, which is a minute later. */
  #away = (): void => {
    if (this.#state.is === 'open' || this.#state.is === 'attaching') this.#lost();
  };

  #lookAtClock(): void {
    const now = Date.now();
    const slept = now - this.#awakeAt > SLEPT_MS;
    this.#awakeAt = now;
    if (slept) this.#back();
  }
}

function refusal(error: RequestFailure): EndReason {
  if (error.code === 'wake_timeout') return 'asleep';
  switch (error.status) {
    case 401:
      return 'signed_out';
    case 403:
      return 'forbidden';
    case 404:
    case 410:
      return 'gone';
    case 409:
      return 'stopped';
    default:
      return 'refused';
  }
}
