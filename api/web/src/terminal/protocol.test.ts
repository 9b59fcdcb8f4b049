import { describe, expect, it } from 'vitest';
import { bounded, mayComeBack, meaning, readMessage, socketUrl, subprotocols, writeMessage } from './protocol';

describe('what the server says', () => {
  it('is read as it stands in the protocol', () => {
    const hello = { type: 'hello', offset: 70_000, reset: false, replay: 12 };
    expect(readMessage(JSON.stringify(hello))).toEqual(hello);
    expect(readMessage('{"type":"exit","code":137}')).toEqual({ type: 'exit', code: 137 });
    expect(readMessage('{"type":"exit","code":null}')).toEqual({ type: 'exit', code: null });
    const warning = { type: 'warning', code: 'idle', message: 'No key for 29 minutes.' };
    expect(readMessage(JSON.stringify(warning))).toEqual(warning);
  });

  it('is passed over where it is something else', () => {
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '"hello"',
      '{"type":"bye"}',
      '{"type":"hello","offset":-1,"replay":0}',
      '{"type":"hello","offset":1.5,"replay":0}',
      '{"type":"hello","offset":"0","replay":0}',
    ]) {
      expect(readMessage(text), text).toBeNull();
    }
  });
});

describe('what the browser says', () => {
  it('is JSON with a type', () => {
    expect(writeMessage({ type: 'ack', offset: 65_536 })).toBe('{"type":"ack","offset":65536}');
    expect(writeMessage({ type: 'resize', cols: 80, rows: 24 })).toBe('{"type":"resize","cols":80,"rows":24}');
  });

  it('names no size that the server refuses', () => {
    expect(bounded({ cols: 0, rows: 0 })).toEqual({ cols: 2, rows: 1 });
    expect(bounded({ cols: 5000.7, rows: 9999 })).toEqual({ cols: 1000, rows: 500 });
    expect(bounded({ cols: Number.NaN, rows: 24.9 })).toEqual({ cols: 2, rows: 24 });
  });
});

describe('where the socket is', () => {
  it('is beside the page, encrypted if that is', () => {
    expect(socketUrl('https://panel.example/instances/a1?tab=x#y', 't1', null)).toBe(
      'wss://panel.example/api/terminals/t1/ws',
    );
    expect(socketUrl('http://localhost:8080/', 'a/b', 42)).toBe('ws://localhost:8080/api/terminals/a%2Fb/ws?from=42');
  });

  it('is not told the ticket', () => {
    expect(subprotocols('c0ffee')).toEqual(['clawdeploy-term.v1', 'ticket.c0ffee']);
  });
});

describe('close codes', () => {
  it('say whether it is worth to try again', () => {
    expect([1001, 1006, 1011, 1012, 4401].map((code) => meaning(code))).toEqual(Array(5).fill('retry'));
    expect(meaning(4001)).toBe('elsewhere');
    expect(mayComeBack('elsewhere')).toBe(true);
    expect(meaning(4008, 'idle')).toBe('idle');
    expect(meaning(4008, 'stalled')).toBe('retry');
    expect(meaning(4404)).toBe('gone');
    expect(mayComeBack('gone')).toBe(false);
    expect(mayComeBack('asleep')).toBe(true);
    expect(mayComeBack('stopped')).toBe(false);
  });
});
