/** When to try again. */

const FIRST_MS = 250;
const MOST_MS = 15_000;

/** How long attempts go on without one that succeeds, before somebody has to ask for the next. */
export const GIVE_UP_MS = 5 * 60_000;

/** How long to wait before an attempt, the first being 1: doubled each time, and shorter by up to a half at random. */
export function delay(attempt: number, random: () => number = Math.random): number {
  const whole = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempt - 1, 16));
  return Math.round(whole * (1 - random() / 2));
}
