import { useQuery } from '@tanstack/react-query';
import { ChevronRight, History } from 'lucide-react';
import { useState } from 'react';
import type { Job } from '@/api/instances';
import { instanceJobsQuery, isOver, jobEventsQuery, jobQuery } from '@/api/jobs';
import { Steps } from '@/components/job-card';
import { LoadFailed, PageLoading } from '@/components/state';
import { Badge, type Tone } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card, CardHead } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { Spinner } from '@/components/ui/spinner';
import { When } from '@/components/when';
import { span, useFormat } from '@/lib/format';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { useInstanceId } from './use-id';

const PAGE = 25;
const MOST = 100;

const TONES: Record<Job['status'], Tone> = {
  queued: 'busy',
  running: 'busy',
  succeeded: 'good',
  failed: 'bad',
  cancelled: 'neutral',
};

/** Everything that was done to the instance. */
export function Activity() {
  const { jobs: words, common } = useTexts();
  const [limit, setLimit] = useState(PAGE);
  const jobs = useQuery({
    ...instanceJobsQuery(useInstanceId(), limit),
    placeholderData: (before) => before,
    refetchInterval: 10_000,
  });
  if (jobs.isError && !jobs.data) return <LoadFailed error={jobs.error} onRetry={() => void jobs.refetch()} />;
  if (!jobs.data) return <PageLoading />;
  return (
    <Card>
      <CardHead title={words.history} text={words.historyText} className="pb-3" />
      {jobs.data.items.length ? (
        <ul className="divide-y border-t">
          {jobs.data.items.map((job) => (
            <JobRow key={job.id} job={job} />
          ))}
        </ul>
      ) : (
        <Empty icon={History} title={words.historyEmpty} />
      )}
      {jobs.data.nextCursor && limit < MOST ? (
        <div className="border-t p-3 text-center">
          <Button variant="ghost" size="sm" onClick={() => setLimit(MOST)}>
            {common.loadMore}
          </Button>
        </div>
      ) : null}
    </Card>
  );
}

/** One job: what, how it ended, when; and its details on request. */
export function JobRow({ job }: { job: Job }) {
  const { jobs: words, common } = useTexts();
  const [open, setOpen] = useState(false);
  const took = job.startedAt && job.finishedAt ? Date.parse(job.finishedAt) - Date.parse(job.startedAt) : null;
  return (
    <li>
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="flex w-full items-center gap-3 px-5 py-2.5 text-left transition-colors hover:bg-sunken/70"
      >
        <ChevronRight
          aria-hidden
          className={`size-4 shrink-0 text-muted transition-transform ${open ? 'rotate-90' : ''}`}
        />
        <span className="font-medium">{wordFor(words.kinds, job.kind, words.newer)}</span>
        <Badge tone={TONES[job.status]}>
          {isOver(job) ? null : <Spinner className="size-3" />}
          {wordFor(words.statuses, job.status, common.unknown)}
        </Badge>
        <span className="ml-auto flex gap-3 text-[0.8125rem] text-muted">
          {took === null ? null : <span className="tabular-nums max-sm:hidden">{span(took)}</span>}
          <When at={job.createdAt} />
        </span>
      </button>
      {open ? <JobHistory id={job.id} /> : null}
    </li>
  );
}

function JobHistory({ id }: { id: string }) {
  const { jobs: words, common } = useTexts();
  const format = useFormat();
  const details = useQuery(jobQuery(id)).data;
  const events = useQuery(jobEventsQuery(id));
  return (
    <div className="space-y-4 bg-sunken/50 px-5 py-4 sm:pl-12">
      {details?.error ? <p className="text-bad">{details.error.message}</p> : null}
      {details?.steps.length ? <Steps steps={details.steps} /> : null}
      <details>
        <summary className="cursor-pointer text-[0.8125rem] font-medium text-muted">{words.timeline}</summary>
        {events.isPending ? (
          <p className="mt-2 text-muted">{common.loading}</p>
        ) : (
          <ol className="mt-2 space-y-1 font-mono text-xs">
            {events.data?.map((event) => (
              <li key={event.id} className="flex gap-3">
                <time dateTime={event.createdAt} className="shrink-0 text-muted">
                  {format.clock(event.createdAt)}
                </time>
                <span className="min-w-0 break-words">{event.message || event.kind}</span>
              </li>
            ))}
          </ol>
        )}
      </details>
    </div>
  );
}
