import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Session } from './session';

const never = () => new Promise<never>(() => {});
const api = { open: never, ticket: never, end: never };

async function shown(text: string) {
  const session = new Session({ api, label: 'Terminal 1', onLeave: () => {}, onClipboard: () => {} });
  const place = document.createElement('div');
  document.body.append(place);
  await session.show(place);
  await print(session, text);
  return session;
}

async function print(session: Session, text: string) {
  const parsed = vi.fn();
  session.terminal.write(text, parsed);
  await vi.waitFor(() => expect(parsed).toHaveBeenCalled());
}

beforeEach(() => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  vi.stubGlobal('document', Object.assign(document, { fonts: { load: async () => [] } }));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('keeps what was found selected, though something was printed just before one stopped to look', async () => {
  const session = await shown('a needle, number 1\r\na needle, number 2\r\n');
  expect(session.find('needle', true)).toBe(true);
  await print(session, '$ ');
  session.stopFinding();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(session.terminal.getSelection()).toBe('needle');
  // It can be looked for again.
  expect(session.find('number 1')).toBe(true);
  expect(session.terminal.getSelection()).toBe('number 1');
  session.detach();
});
