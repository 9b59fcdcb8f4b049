import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cleaned, InputQueue, lineCount, type Outlet, runsAtOnce } from './paste';

describe('a pasted text', () => {
  it('loses what could end its bracket', () => {
    expect(cleaned('echo\x1b[201~; rm -rf ~\n')).toBe('echo[201~; rm -rf ~\n');
    expect(cleaned('a\tb\r\nc\x9b201~\x7f\x03')).toBe('a\tb\r\nc201~');
    expect(cleaned('héllo 你好 🦞')).toBe('héllo 你好 🦞');
  });

  it('is asked about if the shell would run it at once', () => {
    expect(runsAtOnce('ls', false)).toBe(false);
    expect(runsAtOnce('ls\n', false)).toBe(true);
    expect(runsAtOnce('a\rb', false)).toBe(true);
    expect(runsAtOnce('a\nb\n', true)).toBe(false);
  });

  it('has lines', () => {
    expect(['', 'a', 'a\n', 'a\r\nb', 'a\n\nb\n'].map(lineCount)).toEqual([1, 1, 1, 2, 3]);
  });
});

describe('input', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function socket(room = Number.POSITIVE_INFINITY) {
    const sent: Uint8Array[] = [];
    const outlet = {
      bufferedAmount: 0,
      send(bytes: Uint8Array) {
        sent.push(bytes);
        if (sent.length >= room) outlet.bufferedAmount = 1 << 20;
      },
    } satisfies Outlet;
    return { sent, outlet };
  }

  it('goes in frames of 32 KiB, whole and in order', () => {
    const { sent, outlet } = socket();
    const text = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);
    new InputQueue(() => outlet).push(text);
    expect(sent.map((frame) => frame.length)).toEqual([32768, 32768, 32768, 32768, 32768, 32768, 3392]);
    expect(sent.flatMap((frame) => [...frame])).toEqual([...text]);
  });

  it('waits while the connection is full, and what is typed waits behind it', () => {
    const { sent, outlet } = socket(2);
    const queue = new InputQueue(() => outlet);
    queue.push(new Uint8Array(100_000));
    queue.push(new Uint8Array([65]));
    expect(sent).toHaveLength(2);
    expect(queue.pending).toBe(100_000 - 2 * 32768 + 1);
    vi.advanceTimersByTime(1000);
    expect(sent).toHaveLength(2);
    outlet.bufferedAmount = 0;
    vi.advanceTimersByTime(20);
    outlet.bufferedAmount = 0;
    vi.advanceTimersByTime(20);
    outlet.bufferedAmount = 0;
    vi.advanceTimersByTime(20);
    expect(sent.at(-1)).toEqual(new Uint8Array([65]));
    expect(queue.pending).toBe(0);
  });

  it('is cut short by Ctrl-C', () => {
    const { sent, outlet } = socket(1);
    const queue = new InputQueue(() => outlet);
    queue.push(new Uint8Array(100_000));
    outlet.bufferedAmount = 0;
    queue.push(new Uint8Array([3]));
    expect(sent.map((frame) => frame.length)).toEqual([32768, 1]);
    vi.advanceTimersByTime(1000);
    expect(sent).toHaveLength(2);
  });

  it('is dropped while there is no connection', () => {
    const { sent, outlet } = socket(1);
    let there: typeof outlet | null = outlet;
    const queue = new InputQueue(() => there);
    queue.push(new Uint8Array(100_000));
    there = null;
    vi.advanceTimersByTime(20);
    there = outlet;
    outlet.bufferedAmount = 0;
    vi.advanceTimersByTime(1000);
    expect(sent).toHaveLength(1);
    expect(queue.pending).toBe(0);
  });
});
