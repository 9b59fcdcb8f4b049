import type { UsagePoint } from '@/api/contract';

/** A measurement of one thing, at a time in milliseconds. `null`: there is none, and the line is broken. */
export type Point = { at: number; value: number | null };

/** Longer than this without a measurement is a gap, in milliseconds: the container did not run. */
const GAP_MS = 3 * 60_000;

/** One thing out of all measurements. */
export function series(points: readonly UsagePoint[], of: (point: UsagePoint) => number | null | undefined): Point[] {
  return broken(points.map((point) => ({ at: Date.parse(point.at), value: of(point) ?? null })));
}

/**
 * How much a counter grows in a second. A container that was made anew begins at nothing: that is a gap and no negative
 * amount.
 */
export function rate(points: readonly UsagePoint[], of: (point: UsagePoint) => number): Point[] {
  const rates: Point[] = [];
  for (let index = 1; index < points.length; index += 1) {
    const [before, now] = [points[index - 1], points[index]];
    if (!before || !now) continue;
    const seconds = (Date.parse(now.at) - Date.parse(before.at)) / 1000;
    const grown = of(now) - of(before);
    rates.push({ at: Date.parse(now.at), value: seconds > 0 && grown >= 0 ? grown / seconds : null });
  }
  return broken(rates);
}

/** Puts a break where nothing was measured. */
function broken(points: Point[]): Point[] {
  return points.flatMap((point, index) => {
    const before = points[index - 1];
    return before && point.at - before.at > GAP_MS ? [{ at: before.at + 1, value: null }, point] : [point];
  });
}

/** A round number that is not below the highest. */
export function ceiling(highest: number): number {
  if (highest <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(highest));
  const steps = [1, 2, 5, 10];
  return (steps.find((step) => step * power >= highest) ?? 10) * power;
}

/** The lines of a chart as an SVG path, in a box of `width` by `height`. */
export function path(points: Point[], from: number, to: number, top: number, width: number, height: number): string {
  let drawn = '';
  let pen = false;
  for (const { at, value } of points) {
    if (value === null || at < from) {
      pen = false;
      continue;
    }
    const x = ((at - from) / (to - from)) * width;
    const y = height - (Math.min(value, top) / top) * height;
    drawn += `${pen ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = true;
  }
  // A measurement between two gaps is a line of no length, which is drawn as a dot.
  return drawn.replace(/M([^ML]+)(?=M|$)/g, 'M$1L$1');
}
