/**
 * How far the bytes of a terminal have come: received from the server, and parsed by the emulator.
 *
 * The server sends no more than 256 KiB beyond what was acknowledged. So a flood of output waits in the kernel of the machine
 * that makes it, where Ctrl-C ends it at once, and not in this page.
 */

/** How many parsed bytes one acknowledgement covers, at least. */
export const ACK_BYTES = 64 << 10;

export class Flow {
  #received = 0;
  #acked = 0;
  #replayEnd = 0;
  #parsed = 0;

  /** The offset behind the last byte that came; where a new connection goes on. */
  get received(): number {
    return this.#received;
  }

  /** Whether everything that was printed before this connection is on the screen. */
  get live(): boolean {
    return this.#parsed >= this.#replayEnd;
  }

  /** A connection begins at an offset, with so many bytes that were printed before it. */
  begin(offset: number, replay: number): void {
    this.#received = offset;
    this.#acked = offset;
    this.#replayEnd = offset + replay;
    if (replay === 0) this.#parsed = offset;
    else this.#parsed = Math.min(this.#parsed, offset);
  }

  /**
   * Bytes came. They are handed back in parts, each with the offset behind it: where a frame holds both what was printed before
   * this connection and what is new, the parts are these two.
   */
  take(bytes: Uint8Array): { bytes: Uint8Array; end: number }[] {
    const start = this.#received;
    this.#received += bytes.length;
    const old = this.#replayEnd - start;
    if (old <= 0 || old >= bytes.length) return [{ bytes, end: this.#received }];
    return [
      { bytes: bytes.subarray(0, old), end: this.#replayEnd },
      { bytes: bytes.subarray(old), end: this.#received },
    ];
  }

  /** The emulator has parsed everything before the offset. Returns the offset to acknowledge, or null while it is too early. */
  parsed(end: number): number | null {
    this.#parsed = Math.max(this.#parsed, end);
    if (end - this.#acked < ACK_BYTES) return null;
    this.#acked = end;
    return end;
  }
}
