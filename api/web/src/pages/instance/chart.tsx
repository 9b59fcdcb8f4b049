import { type PointerEvent, useState } from 'react';
import { Card } from '@/components/ui/card';
import { cn } from '@/lib/cn';
import { useFormat } from '@/lib/format';
import { useTexts } from '@/texts';
import { ceiling, type Point, path } from './series';

const WIDTH = 600;
const HEIGHT = 140;
/** Over so much, a time of day is not enough. */
const HALF_DAY_MS = 12 * 3_600_000;
const COLOURS = ['stroke-busy', 'stroke-good'] as const;
const FILLS = ['fill-busy/12', 'fill-none'] as const;
const DOTS = ['bg-busy', 'bg-good'] as const;

type ChartProps = {
  title: string;
  text?: string;
  lines: { name?: string; points: Point[] }[];
  from: number;
  to: number;
  /** The top of the chart; left out: a round number above the highest. */
  top?: number;
  format: (value: number) => string;
};

/** Lines over time. Whoever cannot see them is told the newest values, and the highest. */
export function Chart({ title, text, lines, from, to, top, format }: ChartProps) {
  const { usage: words } = useTexts().instance;
  const times = useFormat();
  const [at, setAt] = useState<number | null>(null);
  const most = Math.max(
    0,
    ...lines.flatMap((line) => line.points.filter((point) => point.at >= from).map((point) => point.value ?? 0)),
  );
  const highest = top ?? ceiling(most);
  const shown = lines.map((line) => nearest(line.points, at ?? to));
  const told = shown.map((point) => (point?.value == null ? '–' : format(point.value)));
  const summary = lines.map((line, index) => [line.name, told[index]].filter(Boolean).join(' ')).join(', ');
  const move = (event: PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    setAt(from + ((event.clientX - box.left) / box.width) * (to - from));
  };
  const spot = shown[0];
  const x = at !== null && spot ? ((spot.at - from) / (to - from)) * WIDTH : null;
  return (
    <Card className="p-4">
      <div className="mb-3 flex items-start justify-between gap-3">
        <div>
          <h2 className="font-semibold tracking-tight">{title}</h2>
          <p className="text-xs text-muted">
            {at !== null && spot ? times.moment(new Date(spot.at).toISOString()) : text}
          </p>
        </div>
        <dl className="text-right">
          {lines.map((line, index) => (
            <div key={line.name ?? title} className="flex items-center justify-end gap-2">
              <dt className={cn('flex items-center gap-1.5 text-xs text-muted', line.name ? '' : 'sr-only')}>
                <span aria-hidden className={cn('size-2 rounded-full', DOTS[index])} />
                {line.name ?? title}
              </dt>
              <dd className="font-semibold tabular-nums">{told[index]}</dd>
            </div>
          ))}
        </dl>
      </div>
      <p aria-hidden className="mb-1 text-right text-[0.6875rem] text-muted">
        {format(highest)}
      </p>
      <svg
        role="img"
        aria-label={words.chart(title, summary, format(most))}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        className="h-36 w-full touch-pan-y overflow-visible"
        onPointerMove={move}
        onPointerLeave={() => setAt(null)}
      >
        {[0, 0.5, 1].map((part) => (
          <line
            key={part}
            x1="0"
            x2={WIDTH}
            y1={HEIGHT * part}
            y2={HEIGHT * part}
            className="stroke-line"
            vectorEffect="non-scaling-stroke"
          />
        ))}
        {lines.map((line, index) => {
          const drawn = path(line.points, from, to, highest, WIDTH, HEIGHT);
          return (
            <g key={line.name ?? title}>
              {drawn.lastIndexOf('M') === 0 ? <path d={closed(drawn)} className={FILLS[index]} /> : null}
              <path
                d={drawn}
                className={cn('fill-none stroke-[1.5]', COLOURS[index])}
                strokeLinecap="round"
                vectorEffect="non-scaling-stroke"
              />
            </g>
          );
        })}
        {x === null ? null : (
          <line x1={x} x2={x} y1="0" y2={HEIGHT} className="stroke-line-strong" vectorEffect="non-scaling-stroke" />
        )}
      </svg>
      <div aria-hidden className="mt-1.5 flex justify-between text-[0.6875rem] text-muted">
        <span>{times.hour(new Date(from).toISOString(), to - from > HALF_DAY_MS)}</span>
        <span>{words.now}</span>
      </div>
    </Card>
  );
}

/** The measurement that is nearest to a time. */
function nearest(points: Point[], at: number): Point | undefined {
  let best: Point | undefined;
  for (const point of points) {
    if (point.value !== null && (!best || Math.abs(point.at - at) < Math.abs(best.at - at))) best = point;
  }
  return best;
}

/** A line down to the bottom, for what is below it. */
function closed(drawn: string): string {
  const first = /^M(\S+)/.exec(drawn)?.[1] ?? '0';
  const last = /[ML](\S+) \S+$/.exec(drawn)?.[1] ?? first;
  return `${drawn}L${last} ${HEIGHT}L${first} ${HEIGHT}Z`;
}
