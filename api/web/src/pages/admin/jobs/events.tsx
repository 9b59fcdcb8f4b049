import type { Schemas } from '@/api/contract';
import { cn } from '@/lib/cn';
import { span } from '@/lib/format';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { useAdminTexts } from '../texts';

const TONES: Partial<Record<Schemas['JobEventKind'], string>> = {
  step_failed: 'text-bad',
  lease_lost: 'text-bad',
  retry: 'text-warn',
  cancel_requested: 'text-warn',
  step_undone: 'text-warn',
};

/** What happened, in the order in which it did. */
export function Events({ events, more }: { events: Schemas['JobEvent'][]; more: boolean }) {
  const { jobs } = useAdminTexts();
  const texts = useTexts();
  if (events.length === 0) return <p className="text-muted">{jobs.noEvents}</p>;
  return (
    <>
      <ol className="space-y-2 text-[0.8125rem]">
        {events.map((event) => (
          <li key={event.id} className="grid grid-cols-[4.5rem_1fr] gap-x-3">
            <time
              dateTime={event.createdAt}
              title={event.createdAt}
              className="pt-px font-mono text-xs text-muted tabular-nums"
            >
              {new Date(event.createdAt).toLocaleTimeString('en-GB')}
            </time>
            <div className="min-w-0">
              <p className={TONES[event.kind]}>
                <span className="font-medium">{wordFor(jobs.eventKinds, event.kind, texts.common.unknown)}</span>
                {event.step ? (
                  <span className="text-muted"> · {texts.jobs.steps[event.step] ?? event.step}</span>
                ) : null}
                {event.durationMs == null ? null : <span className="text-muted"> · {span(event.durationMs)}</span>}
                {event.attempt > 1 ? <span className="text-muted"> · {texts.jobs.attempt(event.attempt)}</span> : null}
              </p>
              {event.message ? (
                <p
                  className={cn(
                    'break-words whitespace-pre-wrap',
                    event.kind === 'log' ? 'font-mono text-xs text-muted' : 'text-muted',
                  )}
                >
                  {event.message}
                </p>
              ) : null}
            </div>
          </li>
        ))}
      </ol>
      {more ? <p className="mt-3 text-xs text-muted">{jobs.moreEvents}</p> : null}
    </>
  );
}
