/**
 * A terminal as a tab shows it: the emulator, and the connection to the shell.
 *
 * It lives outside of React, in an element of its own that is put into the page and taken out of it: neither another tab nor
 * another page ends it.
 */

import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { Unicode11Addon } from '@xterm/addon-unicode11';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { Connection, type ConnectionState, type TerminalApi } from './connection';
import { handleClipboardWrites } from './osc52';
import { cleaned, lineCount, runsAtOnce } from './paste';
import { chooseRenderer, type RendererKind } from './renderer';
import { colours } from './theme';

const FONT = '"JetBrains Mono Variable", ui-monospace, Menlo, Consolas, monospace';
const FONT_SIZE = 13;

/** Lines that are kept to scroll back to. */
const SCROLLBACK = 10_000;

const MAX_TITLE = 60;

/** What a tab shows of it. */
export type SessionView = {
  state: ConnectionState;
  warning: { code: string; message: string } | null;
  /** What the program calls itself; empty: it says nothing. */
  title: string;
  renderer: RendererKind;
  /** Programs may write to the clipboard. */
  clipboard: boolean;
  /** The screen is told to screen readers. */
  spoken: boolean;
  /** A text that would run at once, which waits for somebody to say that it may. */
  question: { text: string; lines: number } | null;
};

export type SessionOptions = {
  api: TerminalApi;
  /** A terminal that is there already. */
  terminalId?: string;
  /** What somebody who hears the screen is told it is. */
  label: string;
  /** Ctrl+F6: away from the terminal, which keeps every other key for itself. */
  onLeave(): void;
  onClipboard(ok: boolean): void;
};

const encoder = new TextEncoder();

export class Session {
  readonly terminal: Terminal;
  readonly element = document.createElement('div');
  #options: SessionOptions;
  #connection: Connection;
  #fit = new FitAddon();
  #search = new SearchAddon();
  #view: SessionView;
  #listeners = new Set<() => void>();
  #parent: HTMLElement | null = null;
  #resized = new ResizeObserver(() => this.#fitNow());
  #opened = false;
  #undraw: (() => void) | null = null;
  #disposed = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#view = {
      state: { is: options.terminalId === undefined ? 'opening' : 'attaching' },
      warning: null,
      title: '',
      renderer: 'dom',
      clipboard: false,
      spoken: false,
      question: null,
    };
    this.terminal = new Terminal({
      allowProposedApi: true,
      cursorBlink: true,
      fontFamily: FONT,
      fontSize: FONT_SIZE,
      lineHeight: 1.2,
      macOptionIsMeta: true,
      minimumContrastRatio: 4.5,
      scrollback: SCROLLBACK,
      theme: colours,
      linkHandler: { activate: (_, uri) => follow(uri) },
    });
    this.element.className = 'size-full';
    this.terminal.loadAddon(this.#fit);
    this.terminal.loadAddon(this.#search);
    this.terminal.loadAddon(new WebLinksAddon((_, uri) => follow(uri)));
    this.terminal.loadAddon(new Unicode11Addon());
    this.terminal.unicode.activeVersion = '11';
    this.terminal.onData((text) => this.#connection.send(encoder.encode(text)));
    this.terminal.onBinary((text) => this.#connection.send(Uint8Array.from(text, (char) => char.charCodeAt(0))));
    this.terminal.onResize((size) => this.#connection.resize(size));
    this.terminal.onTitleChange((title) => this.#change({ title: cleaned(title).trim().slice(0, MAX_TITLE) }));
    this.terminal.attachCustomKeyEventHandler((event) => this.#key(event));
    handleClipboardWrites(
      this.terminal,
      () => this.#view.clipboard,
      (text) => this.#toClipboard(text),
    );
    this.element.addEventListener('paste', (event) => this.#pasted(event), { capture: true });
    this.#connection = new Connection({
      api: options.api,
      size: { cols: this.terminal.cols, rows: this.terminal.rows },
      screen: {
        write: (bytes, parsed) => this.terminal.write(bytes, parsed),
        // In its turn, behind what was written before it.
        reset: () => this.terminal.write('', () => this.terminal.reset()),
      },
      ...(options.terminalId === undefined ? {} : { terminalId: options.terminalId }),
      onState: (state) => this.#change({ state }),
      onWarning: (warning) => this.#change({ warning }),
    });
  }

  // --- for React ------------------------------------------------------------------------------------------------------

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  view = (): SessionView => this.#view;

  get terminalId(): string | null {
    return this.#connection.terminalId;
  }

  // --- in the page ----------------------------------------------------------------------------------------------------

  /** Shows the terminal in an element, and connects it the first time. */
  async show(parent: HTMLElement): Promise<void> {
    this.#parent = parent;
    parent.append(this.element);
    this.#resized.observe(parent);
    if (!this.#opened) {
      this.#opened = true;
      // Measured with another font, every column would be in the wrong place.
      await document.fonts.load(`${FONT_SIZE}px ${FONT}`).catch(() => {});
      if (this.#disposed) return;
      this.terminal.open(this.element);
      this.terminal.textarea?.setAttribute('aria-label', this.#options.label);
      this.#fitNow();
      this.#connection.resize({ cols: this.terminal.cols, rows: this.terminal.rows });
      this.#connection.start();
    }
    this.#fitNow();
    if (this.#parent === parent) await this.#draw();
  }

  /** Takes the terminal out of the page. It goes on. */
  hide(): void {
    this.#parent = null;
    this.#resized.disconnect();
    this.#undraw?.();
    this.#undraw = null;
    this.element.remove();
  }

  focus(): void {
    this.terminal.focus();
  }

  /** Takes the focus, unless a menu or a dialog has it: that gives it away itself when it has closed, however long this takes. */
  focusUnlessBehind(): void {
    const inFront = document.activeElement?.closest('[role=menu], [role=dialog]');
    if (this.#parent && !inFront) this.focus();
  }

  reconnect(): void {
    this.#connection.reconnect();
  }

  /** Ends the shell and everything of it. */
  async end(): Promise<void> {
    this.#dispose();
    await this.#connection.end();
  }

  /** Lets go of the shell, which goes on for a while. */
  detach(): void {
    this.#dispose();
    this.#connection.dispose();
  }

  // --- what one does with it ------------------------------------------------------------------------------------------

  find(text: string, backwards = false): boolean {
    const options = { decorations: { matchOverviewRuler: '#a1a1aa', activeMatchColorOverviewRuler: '#f97316' } };
    return backwards ? this.#search.findPrevious(text, options) : this.#search.findNext(text, options);
  }

  /** Tells which match is shown, from 0, and how many there are; below 0: there are too many to say. */
  onMatches(tell: (which: number, count: number) => void): () => void {
    const told = this.#search.onDidChangeResults(({ resultIndex, resultCount }) => tell(resultIndex, resultCount));
    return () => told.dispose();
  }

  /** Forgets what is sought; what was found stays selected. */
  stopFinding(): void {
    // A search that is only cleared looks once more for what is sought if something was just printed: for nothing by then, for
    // which it gives up the selection.
    this.#search.dispose();
    this.#search = new SearchAddon();
    this.terminal.loadAddon(this.#search);
  }

  /** Puts what is selected on the clipboard. False: nothing is selected. */
  copy(): boolean {
    const text = this.terminal.getSelection();
    if (text === '') return false;
    this.#toClipboard(text);
    return true;
  }

  /** Pastes a text, after a question if a part of it would run at once. */
  paste(text: string): void {
    const clean = cleaned(text);
    if (clean === '') return;
    if (runsAtOnce(clean, this.terminal.modes.bracketedPasteMode)) {
      this.#change({ question: { text: clean, lines: lineCount(clean) } });
    } else {
      this.terminal.paste(clean);
    }
  }

  /** The answer to the question about what was pasted. */
  answer(yes: boolean): void {
    const { question } = this.#view;
    this.#change({ question: null });
    if (yes && question) this.terminal.paste(question.text);
  }

  /** Types for somebody whose keyboard lacks a key. */
  type(text: string): void {
    this.terminal.input(text, true);
  }

  /** What an arrow key sends, by the last letter of its sequence. */
  arrow(letter: string): string {
    return this.terminal.modes.applicationCursorKeysMode ? `\x1bO${letter}` : `\x1b[${letter}`;
  }

  allowClipboard(clipboard: boolean): void {
    this.#change({ clipboard });
  }

  speak(spoken: boolean): void {
    this.terminal.options.screenReaderMode = spoken;
    this.#change({ spoken });
  }

  // --- inside ---------------------------------------------------------------------------------------------------------

  #change(change: Partial<SessionView>): void {
    if (this.#disposed) return;
    this.#view = { ...this.#view, ...change };
    for (const listener of this.#listeners) listener();
  }

  #fitNow(): void {
    // In an element without a size, the terminal would be told to have a single row.
    if (!this.#opened || !this.#parent || this.#parent.clientHeight < 40 || this.#parent.clientWidth < 40) return;
    this.#fit.fit();
  }

  async #draw(): Promise<void> {
    this.#undraw?.();
    this.#undraw = null;
    const undraw = await chooseRenderer(this.terminal, (renderer) => this.#change({ renderer }));
    if (this.#parent && !this.#disposed) this.#undraw = undraw;
    else undraw();
  }

  /** True: the terminal gets the key. */
  #key(event: KeyboardEvent): boolean {
    if (event.type !== 'keydown') return true;
    if (event.key === 'F6' && event.ctrlKey) {
      event.preventDefault();
      this.#options.onLeave();
      return false;
    }
    const withShift = event.ctrlKey && event.shiftKey && !event.altKey;
    if (withShift && event.code === 'KeyC') {
      event.preventDefault();
      this.copy();
      return false;
    }
    // The browser pastes, which comes back as an event.
    if (withShift && event.code === 'KeyV') return false;
    return true;
  }

  #pasted(event: ClipboardEvent): void {
    event.preventDefault();
    event.stopPropagation();
    this.paste(event.clipboardData?.getData('text/plain') ?? '');
  }

  #toClipboard(text: string): void {
    const written = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error('no clipboard'));
    written.then(
      () => this.#options.onClipboard(true),
      () => this.#options.onClipboard(false),
    );
  }

  #dispose(): void {
    this.hide();
    this.#disposed = true;
    this.#listeners.clear();
    this.terminal.dispose();
  }
}

/** Opens a link that was printed, in a page that knows nothing of this one. */
function follow(uri: string): void {
  if (/^https?:\/\//i.test(uri)) window.open(uri, '_blank', 'noopener,noreferrer');
}
