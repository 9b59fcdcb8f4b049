// An authenticator app: RFC 6238 with SHA-1, six digits and steps of 30 seconds.
import { createHmac } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const HALF_MINUTE_MS = 30_000;
const halfMinute = () => Math.floor(Date.now() / HALF_MINUTE_MS);
/** The oldest step whose code is valid for at least ten seconds. */
const oldest = () => halfMinute() - (Date.now() % HALF_MINUTE_MS < HALF_MINUTE_MS - 10_000 ? 1 : 0);

function codeOf(secret, step) {
  const bits = [...secret].map((letter) => LETTERS.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const digest = createHmac('sha1', key).update(counter).digest();
  const word = digest.readUInt32BE(digest.at(-1) & 0x0f) & 0x7fff_ffff;
  return String(word % 1_000_000).padStart(6, '0');
}

/** An app with this secret. Codes of the neighbouring steps are valid too, each of them once. */
export function app(secret) {
  let last = 0;
  return {
    /** An unused code: the oldest valid one, so that further ones are available without waiting. */
    next: async () => {
      last = Math.max(oldest(), last + 1);
      while (last > halfMinute() + 1) await pause(500);
      return codeOf(secret, last);
    },
    /** The code that was used last. */
    used: () => codeOf(secret, last),
    /** An expired code. */
    wrong: () => codeOf(secret, halfMinute() - 2880),
  };
}
