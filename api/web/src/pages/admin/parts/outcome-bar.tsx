import { useAdminTexts } from '../texts';

type Outcomes = { succeeded: number; failed: number; cancelled: number };

/** How many of each outcome, as a bar beside others: `most` is what fills it. */
export function OutcomeBar({ outcomes, most }: { outcomes: Outcomes; most: number }) {
  const { outcomes: words } = useAdminTexts();
  const { succeeded, failed, cancelled } = outcomes;
  const width = (count: number) => ({ width: `${(count / Math.max(1, most)) * 100}%` });
  return (
    <span
      role="img"
      aria-label={words(succeeded, failed, cancelled)}
      title={words(succeeded, failed, cancelled)}
      className="flex h-2.5 w-full min-w-16 gap-px overflow-hidden rounded-full bg-ink/6"
    >
      <span className="bg-good" style={width(succeeded)} />
      <span className="bg-bad" style={width(failed)} />
      <span className="bg-warn" style={width(cancelled)} />
    </span>
  );
}
