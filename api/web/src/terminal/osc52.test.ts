import { describe, expect, it } from 'vitest';
import { handleClipboardWrites, readClipboardWrite } from './osc52';

const encoded = (text: string) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

describe('OSC 52', () => {
  it('names a text for the clipboard', () => {
    expect(readClipboardWrite(`c;${encoded('héllo 你好')}`)).toBe('héllo 你好');
    expect(readClipboardWrite(`s0;${encoded('a')}`)).toBe('a');
  });

  it('means the clipboard when it names no target, as tmux does', () => {
    expect(readClipboardWrite(`;${encoded('a')}`)).toBe('a');
  });

  it('is refused for anything else', () => {
    for (const data of [
      'c;?', // wants to read
      'c;',
      'c',
      'p;YQ==', // the primary selection, which browsers do not have
      'x;YQ==',
      'c;not base64!',
      `c;${btoa('\xff\xfe')}`,
      `c;${'A'.repeat((1 << 20) + 4)}`,
    ]) {
      expect(readClipboardWrite(data), data.slice(0, 20)).toBeNull();
    }
  });

  it('does nothing until it is allowed, and is swallowed either way', () => {
    let handler: (data: string) => boolean = () => false;
    const terminal = {
      parser: {
        registerOscHandler(code: number, given: (data: string) => boolean) {
          expect(code).toBe(52);
          handler = given;
          return { dispose() {} };
        },
      },
    };
    let allowed = false;
    const written: string[] = [];
    handleClipboardWrites(
      terminal,
      () => allowed,
      (text) => written.push(text),
    );
    expect(handler('c;YQ==')).toBe(true);
    allowed = true;
    expect(handler('c;?')).toBe(true);
    expect(handler('c;Yg==')).toBe(true);
    expect(written).toEqual(['b']);
  });
});
