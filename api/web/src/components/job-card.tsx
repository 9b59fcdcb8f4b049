// What is being done to an instance: how far it is, step by step, and why if it fails.
import { Check, Circle, RotateCcw, X } from 'lucide-react';
import { lazy, type ReactNode, Suspense, useState } from 'react';
import { isOver, type JobDetails, type Step, useCancelJob, useJob } from '@/api/jobs';
import { toast } from '@/components/toasts';
import { wordsFor } from '@/lib/errors';
import { span, useFormat, useNow } from '@/lib/format';
import { waitWords } from '@/lib/waiting';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { Button } from './ui/button';
import { Card, CardBody, CardHead } from './ui/card';
import { Dialog } from './ui/dialog';
import { Progress } from './ui/progress';
import { Skeleton } from './ui/skeleton';
import { Spinner } from './ui/spinner';

const BuildLog = lazy(() => import('./build-log').then((file) => ({ default: file.BuildLog })));

type JobCardProps = { id: string; failedTitle?: string; failedText?: ReactNode; actions?: ReactNode };

/** A job with its steps, live. */
export function JobCard({ id, failedTitle, failedText, actions }: JobCardProps) {
  const { jobs: words } = useTexts();
  const job = useJob(id).data;
  if (!job) {
    return (
      <Card>
        <CardBody className="space-y-3">
          <Skeleton className="h-5 w-40" />
          <Skeleton className="h-1.5 w-full" />
          <Skeleton className="h-24 w-full" />
        </CardBody>
      </Card>
    );
  }
  const failed = job.status === 'failed';
  const title = failed
    ? (failedTitle ?? wordFor(words.kinds, job.kind, words.newer))
    : wordFor(words.doing, job.kind, words.newer);
  return (
    <Card className={failed ? 'border-bad/40' : undefined} aria-label={title}>
      <CardHead
        title={<span className={failed ? 'text-bad' : undefined}>{title}</span>}
        text={<JobWords job={job} />}
        action={
          <>
            {actions}
            {isOver(job) ? null : <CancelJob job={job} />}
          </>
        }
      />
      <CardBody className="space-y-4">
        {failed && job.error ? (
          <div role="alert" className="space-y-1">
            <p className="font-medium whitespace-pre-wrap break-words">{job.error.message}</p>
            {failedText ? <p className="text-muted">{failedText}</p> : null}
          </div>
        ) : null}
        {failed ? null : (
          <div className="flex items-center gap-3">
            <Progress
              className="flex-1"
              value={job.progress}
              label={words.progress(title)}
              tone={job.status === 'succeeded' ? 'good' : 'busy'}
            />
            <span className="w-10 text-right text-xs tabular-nums text-muted">{words.percent(job.progress)}</span>
          </div>
        )}
        <Steps steps={job.steps} />
        {job.dependsOn ? <Build job={job} /> : null}
      </CardBody>
    </Card>
  );
}

/** Where a job is, in a sentence. */
function JobWords({ job }: { job: JobDetails }) {
  const { jobs: words } = useTexts();
  const format = useFormat();
  const now = useNow(1_000);
  if (job.cancelRequested && !isOver(job)) return words.undoing;
  if (job.status === 'queued') return waitWords(job, words, (iso) => format.relative(iso, now));
  const end = job.finishedAt ? Date.parse(job.finishedAt) : now;
  const since = Math.max(0, end - Date.parse(job.createdAt));
  const words_ = [span(Math.round(since / 1000) * 1000)];
  if (job.attempt > 1) words_.push(words.attempt(job.attempt));
  return words_.join(' · ');
}

/** What the build prints that the job waits for, or has waited for. Nothing is listened to before somebody opens it. */
function Build({ job }: { job: JobDetails }) {
  const { jobs: words } = useTexts();
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className="w-fit cursor-pointer text-[0.8125rem] text-muted hover:text-ink">
        {words.buildLog.label}
      </summary>
      {open ? (
        <div className="mt-2">
          <Suspense fallback={<Skeleton className="h-24 w-full" />}>
            <BuildLog from={`/api/jobs/${job.id}/build-log`} />
          </Suspense>
        </div>
      ) : null}
    </details>
  );
}

const LOOKS = {
  pending: { Icon: Circle, className: 'text-muted' },
  running: { Icon: Spinner, className: 'text-busy' },
  done: { Icon: Check, className: 'text-good' },
  failed: { Icon: X, className: 'text-bad' },
  undone: { Icon: RotateCcw, className: 'text-muted' },
};

/** The steps of a job, each with how it went and how long it took. */
export function Steps({ steps }: { steps: Step[] }) {
  const { jobs: words, common } = useTexts();
  const running = steps.some((step) => step.status === 'running');
  const now = useNow(running ? 250 : 60_000);
  if (!steps.length) return null;
  return (
    <ol aria-label={words.steps_label} className="space-y-1.5">
      {steps.map((step) => {
        const { Icon, className } = LOOKS[step.status] ?? LOOKS.pending;
        const took =
          step.durationMs ??
          (step.status === 'running' && step.startedAt ? Math.max(0, now - Date.parse(step.startedAt)) : null);
        return (
          <li key={step.name} className="flex items-center gap-2.5">
            <Icon aria-hidden className={`size-4 shrink-0 ${className}`} />
            <span className={step.status === 'undone' || step.status === 'pending' ? 'text-muted' : undefined}>
              {words.steps[step.name] ?? step.name}
            </span>
            <span className="sr-only">{wordFor(words.stepStatuses, step.status, common.unknown)}</span>
            {took === null ? null : <span className="ml-auto text-xs tabular-nums text-muted">{span(took)}</span>}
          </li>
        );
      })}
    </ol>
  );
}

function CancelJob({ job }: { job: JobDetails }) {
  const texts = useTexts();
  const words = texts.jobs;
  const [asking, setAsking] = useState(false);
  const cancel = useCancelJob();
  // What is gone cannot come back.
  if (job.kind === 'delete') return null;
  const what = wordFor(words.doing, job.kind, words.newer);
  return (
    <>
      <Button size="sm" variant="outline" disabled={job.cancelRequested} onClick={() => setAsking(true)}>
        {words.cancel}
      </Button>
      <Dialog
        open={asking}
        onOpenChange={setAsking}
        title={words.cancelTitle(what)}
        text={words.cancelText}
        actions={
          <>
            <Button variant="ghost" onClick={() => setAsking(false)}>
              {texts.common.back}
            </Button>
            <Button
              variant="danger"
              busy={cancel.isPending}
              onClick={() =>
                cancel.mutate(job.id, {
                  onSuccess: () => toast.success(words.cancelled(what)),
                  onError: (error) => toast.error(texts.errors.toast(words.cancel), wordsFor(error, texts)),
                  onSettled: () => setAsking(false),
                })
              }
            >
              {words.cancel}
            </Button>
          </>
        }
      />
    </>
  );
}
