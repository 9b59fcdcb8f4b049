import { memo } from 'react';
import type { Instance } from '@/api/instances';
import { bytes, MIB } from '@/lib/format';
import { newest, sparkPath } from '@/lib/spark';
import { useTexts } from '@/texts';
import type { Usage } from './usage';

const WIDTH = 64;
const HEIGHT = 20;

type SparksProps = { instance: Instance; usage: Usage | undefined };

/** CPU and memory of the last hour. Their room is there before they are; scrolling draws only those that come into sight. */
export const Sparks = memo(function Sparks({ instance, usage }: SparksProps) {
  const { usage: words } = useTexts().instances;
  if (instance.status !== 'running') return null;
  const limit = instance.memoryMb * MIB;
  // A gateway is idle most of the time: what it does would be flat against all it may use.
  const busiest = Math.max(10, ...(usage?.cpuPercent.map((value) => value ?? 0) ?? []));
  return (
    <div className="grid w-52 shrink-0 grid-cols-2 gap-3 max-lg:hidden">
      <Spark
        name={words.cpu}
        values={usage?.cpuPercent}
        top={busiest}
        format={(value) => `${value.toFixed(value < 10 ? 1 : 0)}%`}
        className="stroke-busy"
      />
      <Spark name={words.memory} values={usage?.memoryBytes} top={limit} format={bytes} className="stroke-good" />
    </div>
  );
});

type SparkProps = {
  name: string;
  values: (number | null)[] | undefined;
  top: number;
  format: (value: number) => string;
  className: string;
};

function Spark({ name, values, top, format, className }: SparkProps) {
  const { usage: words } = useTexts().instances;
  const now = newest(values ?? []);
  const told = now === undefined ? '–' : format(now);
  const highest = Math.max(0, ...(values ?? []).map((value) => value ?? 0));
  return (
    <figure className="min-w-0">
      <svg
        role="img"
        aria-label={words.label(name, told, values ? format(highest) : '–')}
        viewBox={`0 -1 ${WIDTH} ${HEIGHT + 2}`}
        preserveAspectRatio="none"
        className="h-5 w-full"
      >
        <path
          d={sparkPath(values ?? [], top, WIDTH, HEIGHT)}
          className={`fill-none ${className}`}
          strokeLinecap="round"
          vectorEffect="non-scaling-stroke"
        />
      </svg>
      <figcaption
        aria-hidden
        className="mt-0.5 flex justify-between gap-1 text-[0.6875rem] whitespace-nowrap text-muted"
      >
        <span>{name}</span>
        <span className="tabular-nums">{told}</span>
      </figcaption>
    </figure>
  );
}
