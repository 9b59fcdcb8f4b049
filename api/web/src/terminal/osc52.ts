/**
 * OSC 52: a program in the terminal that puts something on the clipboard.
 *
 * Whatever prints in a terminal can send it, a log line of a stranger's included, so it is off until somebody switches it on for
 * this terminal. What is on the clipboard is never told: a request to read it gets no answer at all.
 */

/** Most that is taken, in bytes before decoding. */
const MAX_ENCODED = 1 << 20;

/** The text that a sequence wants on the clipboard; null: it asks for something else, or is broken. */
export function readClipboardWrite(data: string): string | null {
  const semicolon = data.indexOf(';');
  if (semicolon < 0) return null;
  const targets = data.slice(0, semicolon);
  const encoded = data.slice(semicolon + 1);
  // tmux names no target at all and means the clipboard.
  if (targets !== '' && !/^[cps0-7]*$/.test(targets)) return null;
  if (targets !== '' && !/[cs]/.test(targets)) return null;
  if (encoded === '' || encoded === '?' || encoded.length > MAX_ENCODED) return null;
  try {
    const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** What the handler needs of a terminal. */
type WithParser = {
  parser: { registerOscHandler(code: number, handler: (data: string) => boolean): { dispose(): void } };
};

/** Swallows every OSC 52, and hands over what it wants written while `allowed` says so. */
export function handleClipboardWrites(
  terminal: WithParser,
  allowed: () => boolean,
  write: (text: string) => void,
): { dispose(): void } {
  return terminal.parser.registerOscHandler(52, (data) => {
    const text = allowed() ? readClipboardWrite(data) : null;
    if (text !== null) write(text);
    return true;
  });
}
