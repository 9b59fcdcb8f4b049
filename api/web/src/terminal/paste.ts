/**
 * Pasting, and sending what was typed in the order in which it was.
 */

import { MAX_INPUT_FRAME } from './protocol';

/** While more than this waits in the socket, in bytes, a paste waits as well. */
const HIGH_WATER = 128 << 10;

/** How often a paste that waits looks whether it may go on. */
const POLL_MS = 20;

const INTERRUPT = 3;

/**
 * A text as it may be pasted: without control characters other than tabs and line ends.
 *
 * With an escape sequence in it, a text from a web page could end the bracket that marks it as pasted, and have the rest of it run.
 */
export function cleaned(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, '');
}

/** Whether a shell would run a part of the text as soon as it is pasted. With bracketed paste it waits for Enter. */
export function runsAtOnce(text: string, bracketed: boolean): boolean {
  return !bracketed && /[\r\n]/.test(text);
}

/** How many lines a text has, for the question whether to paste it. */
export function lineCount(text: string): number {
  return text.replace(/\r?\n$/, '').split(/\r\n|\r|\n/).length;
}

/** Where input goes. */
export type Outlet = { readonly bufferedAmount: number; send(bytes: Uint8Array<ArrayBuffer>): void };

/** Sends input in frames that the server accepts, no faster than the connection takes them. */
export class InputQueue {
  #waiting: Uint8Array<ArrayBuffer>[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #outlet: () => Outlet | null;

  /** `outlet` gives the connection, or null while there is none: then input is dropped. */
  constructor(outlet: () => Outlet | null) {
    this.#outlet = outlet;
  }

  /** Bytes that wait. */
  get pending(): number {
    return this.#waiting.reduce((sum, frame) => sum + frame.length, 0);
  }

  push(bytes: Uint8Array<ArrayBuffer>): void {
    // Whoever interrupts does not want the rest of a paste.
    if (bytes.length === 1 && bytes[0] === INTERRUPT) this.clear();
    for (let at = 0; at < bytes.length; at += MAX_INPUT_FRAME) {
      this.#waiting.push(bytes.subarray(at, at + MAX_INPUT_FRAME));
    }
    if (this.#timer === undefined) this.#send();
  }

  clear(): void {
    this.#waiting = [];
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #send(): void {
    this.#timer = undefined;
    const outlet = this.#outlet();
    if (!outlet) {
      this.#waiting = [];
      return;
    }
    while (this.#waiting.length > 0) {
      if (outlet.bufferedAmount > HIGH_WATER) {
        this.#timer = setTimeout(() => this.#send(), POLL_MS);
        return;
      }
      const frame = this.#waiting.shift();
      if (frame) outlet.send(frame);
    }
  }
}
