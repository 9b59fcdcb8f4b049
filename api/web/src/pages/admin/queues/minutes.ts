import type { Schemas } from '@/api/contract';

type Minute = Schemas['Minute'];

const OUTCOMES = ['succeeded', 'failed', 'cancelled'] as const;

/** Least height of a bar, so that a single failure among thousands is seen. */
const LEAST = 2;

export type Bar = { outcome: (typeof OUTCOMES)[number]; y: number; height: number };

/** Most that ended in one minute; at least 1, so that it can be divided by. */
export function peak(minutes: Minute[]): number {
  return Math.max(1, ...minutes.map(({ succeeded, failed, cancelled }) => succeeded + failed + cancelled));
}

/** The bars of a minute, the first at the bottom; `most` jobs fill the height. */
export function stack(minute: Minute, most: number, height: number): Bar[] {
  let y = height;
  return OUTCOMES.filter((outcome) => minute[outcome] > 0).map((outcome) => {
    const tall = Math.max(LEAST, (minute[outcome] / most) * height);
    y -= tall;
    return { outcome, y, height: tall };
  });
}
