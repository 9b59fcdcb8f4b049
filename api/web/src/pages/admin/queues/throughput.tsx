import type { Schemas } from '@/api/contract';
import { span } from '@/lib/format';
import { useTexts } from '@/texts';
import { OutcomeBar } from '../parts/outcome-bar';
import { useAdminTexts } from '../texts';

type Queue = Schemas['QueueView'];

const total = ({ succeeded, failed, cancelled }: Schemas['LastHour']) => succeeded + failed + cancelled;

/** What ended in the last hour, by kind, and how long it took. */
export function Throughput({ queue }: { queue: Queue }) {
  const { queues } = useAdminTexts();
  const { jobs } = useTexts();
  const kinds = queue.kinds.filter(({ lastHour }) => total(lastHour) > 0);
  if (kinds.length === 0) return <p className="text-[0.8125rem] text-muted">{queues.quiet}</p>;
  const most = Math.max(...kinds.map(({ lastHour }) => total(lastHour)));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and has to by keyboard
    <section aria-label={queues.lastHourOf(queues.names[queue.queue])} tabIndex={0} className="overflow-x-auto">
      <table className="w-full text-[0.8125rem] tabular-nums">
        <caption className="pb-1 text-left text-xs text-muted">{queues.lastHour}</caption>
        <thead className="text-xs text-muted">
          <tr className="[&>th]:py-1 [&>th]:font-medium">
            <th scope="col" className="text-left">
              {queues.kind}
            </th>
            <th scope="col" className="w-1/2 min-w-24 text-left">
              {queues.ended}
            </th>
            <th scope="col" className="pl-3 text-right">
              {queues.count}
            </th>
            <th scope="col" className="pl-3 text-right max-sm:hidden">
              {queues.wait}
            </th>
            <th scope="col" className="pl-3 text-right">
              {queues.run}
            </th>
          </tr>
        </thead>
        <tbody>
          {kinds.map(({ kind, lastHour }) => (
            <tr key={kind} className="[&>td]:py-1">
              <th scope="row" className="pr-3 text-left font-normal whitespace-nowrap">
                {jobs.kinds[kind] ?? kind}
              </th>
              <td>
                <OutcomeBar outcomes={lastHour} most={most} />
              </td>
              <td className="pl-3 text-right">{total(lastHour)}</td>
              <td className="pl-3 text-right whitespace-nowrap text-muted max-sm:hidden">
                <Times of={lastHour.waitSeconds} />
              </td>
              <td className="pl-3 text-right whitespace-nowrap text-muted">
                <Times of={lastHour.runSeconds} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** The middle one, and what only one of twenty takes longer than. */
function Times({ of }: { of: Schemas['Percentiles'] | null | undefined }) {
  if (!of) return '–';
  return (
    <>
      <span className="text-ink">{span(of.p50 * 1000)}</span> / {span(of.p95 * 1000)}
    </>
  );
}
