import { describe, expect, it } from 'vitest';
import { ACK_BYTES, Flow } from './flow';

const bytes = (count: number) => new Uint8Array(count);

describe('acknowledgements', () => {
  it('come once for each 64 KiB that was parsed, with where the parser is', () => {
    const flow = new Flow();
    flow.begin(1000, 0);
    const acks: (number | null)[] = [];
    for (let i = 0; i < 5; i++) {
      for (const part of flow.take(bytes(40_000))) acks.push(flow.parsed(part.end));
    }
    expect(acks).toEqual([null, 81_000, null, 161_000, null]);
    expect(flow.received).toBe(201_000);
  });

  it('never go back behind where a connection began', () => {
    const flow = new Flow();
    flow.begin(0, 0);
    const [before] = flow.take(bytes(100_000));
    flow.begin(100_000, 0);
    expect(flow.parsed(before?.end ?? 0)).toBeNull();
    const [after] = flow.take(bytes(ACK_BYTES));
    expect(flow.parsed(after?.end ?? 0)).toBe(100_000 + ACK_BYTES);
  });
});

describe('what was printed before', () => {
  it('is over when its last byte is parsed', () => {
    const flow = new Flow();
    flow.begin(500, 10);
    expect(flow.live).toBe(false);
    const parts = flow.take(bytes(25));
    expect(parts.map((part) => [part.bytes.length, part.end])).toEqual([
      [10, 510],
      [15, 525],
    ]);
    expect(flow.live).toBe(false);
    flow.parsed(510);
    expect(flow.live).toBe(true);
  });

  it('may come in many frames, and be nothing at all', () => {
    const flow = new Flow();
    flow.begin(0, 20);
    expect(flow.take(bytes(20))).toHaveLength(1);
    flow.parsed(20);
    expect(flow.live).toBe(true);
    flow.begin(20, 0);
    expect(flow.live).toBe(true);
    expect(flow.take(bytes(7)).map((part) => part.end)).toEqual([27]);
  });

  it('is waited for again with each connection', () => {
    const flow = new Flow();
    flow.begin(0, 0);
    flow.take(bytes(50));
    flow.parsed(50);
    flow.begin(50, 30);
    expect(flow.live).toBe(false);
  });
});
