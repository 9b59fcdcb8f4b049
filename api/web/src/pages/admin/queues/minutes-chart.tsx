import type { Schemas } from '@/api/contract';
import { cn } from '@/lib/cn';
import { useAdminTexts } from '../texts';
import { peak, stack } from './minutes';

const HEIGHT = 64;
const WIDTH = 600;

/** How many jobs ended in each minute of the last hour. */
export function MinutesChart({ minutes, name }: { minutes: Schemas['Minute'][]; name: string }) {
  const { queues, outcomes } = useAdminTexts();
  const most = peak(minutes);
  const step = WIDTH / Math.max(1, minutes.length);
  const sum = (of: keyof Schemas['Minute']) => minutes.reduce((total, minute) => total + minute[of], 0);
  const all = outcomes(sum('succeeded'), sum('failed'), sum('cancelled'));
  return (
    <figure>
      <figcaption className="flex justify-between pb-1 text-xs text-muted">
        <span>{queues.throughput}</span>
        <span className="tabular-nums">{queues.peak(most)}</span>
      </figcaption>
      <svg
        role="img"
        aria-label={`${name}. ${queues.throughput}: ${all}`}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        className="block h-16 w-full overflow-visible"
      >
        <line
          x1="0"
          x2={WIDTH}
          y1={HEIGHT}
          y2={HEIGHT}
          className="stroke-line-strong"
          vectorEffect="non-scaling-stroke"
        />
        {minutes.map((minute, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a minute is its place
          <g key={at}>
            <title>
              {queues.minute(minutes.length - 1 - at, outcomes(minute.succeeded, minute.failed, minute.cancelled))}
            </title>
            {/* All of its height says what it was, also where nothing ended. */}
            <rect x={at * step} width={step} y="0" height={HEIGHT} className="fill-transparent hover:fill-ink/5" />
            {stack(minute, most, HEIGHT).map(({ outcome, y, height }) => (
              <rect
                key={outcome}
                x={at * step + step * 0.15}
                width={step * 0.7}
                y={y}
                height={height}
                className={cn(
                  'pointer-events-none',
                  { succeeded: 'fill-good', failed: 'fill-bad', cancelled: 'fill-warn' }[outcome],
                )}
              />
            ))}
          </g>
        ))}
      </svg>
      <p aria-hidden className="flex justify-between pt-1 text-[0.6875rem] text-muted">
        <span>{queues.hourAgo}</span>
        <span>{queues.now}</span>
      </p>
    </figure>
  );
}
