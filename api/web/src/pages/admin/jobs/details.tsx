import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { isOver, isStuckChange } from '@/api/jobs';
import { KeepsFocus } from '@/components/keeps-focus';
import { BackLink } from '@/components/ui/back-link';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { CopyButton } from '@/components/ui/copy';
import { Notice } from '@/components/ui/notice';
import { Progress } from '@/components/ui/progress';
import { Until, When } from '@/components/when';
import { useFormat } from '@/lib/format';
import { waitWords } from '@/lib/waiting';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { BuildOfJob } from '../images/build-of-job';
import { Fact } from '../parts/heading';
import { JobStatus } from '../parts/job-status';
import { Loaded } from '../parts/loaded';
import { useAdminTexts } from '../texts';
import { Actions } from './actions';
import { Events } from './events';
import { took } from './job-row';
import { Steps } from './steps';

const EVERY_MS = 1_500;

/** One job, with everything that is known of it. */
export function JobPage() {
  const { jobs } = useAdminTexts();
  const { jobId } = useParams({ from: '/layout/admin/jobs/$jobId' });
  const query = useQuery({
    queryKey: ['admin', 'jobs', 'details', jobId],
    queryFn: ({ signal }) => call(client.GET('/api/admin/jobs/{id}', { signal, params: { path: { id: jobId } } })),
    refetchInterval: ({ state: { data } }) => (data && isOver(data) ? false : EVERY_MS),
  });
  return (
    <>
      <BackLink to="/admin/jobs">{jobs.back}</BackLink>
      <Loaded query={query}>{(job) => <Details job={job} />}</Loaded>
    </>
  );
}

function Details({ job }: { job: Schemas['AdminJobDetails'] }) {
  const texts = useTexts();
  const { jobs } = useAdminTexts();
  const format = useFormat();
  const name = wordFor(texts.jobs.kinds, job.kind, texts.jobs.newer);
  return (
    <KeepsFocus className="space-y-5">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h2 className="flex flex-wrap items-center gap-2.5 text-base font-semibold tracking-tight">
          {name}
          <JobStatus status={job.status} />
        </h2>
        <Actions job={job} />
      </div>
      {job.status === 'running' ? <Progress value={job.progress} label={texts.jobs.progress(name)} /> : null}
      {job.error ? (
        <Notice tone="bad" title={<span className="whitespace-pre-wrap">{job.error.message}</span>}>
          <span className="font-mono text-xs">{job.error.code}</span>
        </Notice>
      ) : null}
      {isStuckChange(job) ? <Notice tone="warn" title={jobs.retryUndoText} /> : null}
      {job.undoOutcome && !isOver(job) ? <Notice tone="warn" title={jobs.undoing[job.undoOutcome]} /> : null}
      {job.queue ? <Notice tone="busy" title={waitWords(job, texts.jobs, (iso) => format.relative(iso))} /> : null}
      <Card>
        <CardBody>
          <dl className="grid grid-cols-1 gap-x-6 gap-y-4 sm:grid-cols-2 lg:grid-cols-3">
            <Fact name={jobs.id}>
              <span className="flex items-center gap-1">
                <span className="font-mono text-xs break-all">{job.id}</span>
                <CopyButton value={job.id} what={jobs.id} />
              </span>
            </Fact>
            {job.instanceId ? (
              <Fact name={jobs.instance}>
                {/* An instance of the warm pool belongs to nobody and has no page. */}
                {job.instanceName && job.ownerEmail ? (
                  <Link to="/instances/$id" params={{ id: job.instanceId }} className="block link">
                    {job.instanceName}
                  </Link>
                ) : null}
                <Link
                  to="/admin/jobs"
                  search={{ instance: job.instanceId }}
                  title={jobs.sameInstance}
                  className="font-mono text-xs link"
                >
                  {job.instanceId}
                </Link>
              </Fact>
            ) : null}
            <Fact name={jobs.owner}>{job.ownerEmail ?? jobs.nobody}</Fact>
            <Fact name={jobs.requestedBy}>{job.requestedByEmail ?? jobs.byItself}</Fact>
            <Fact name={jobs.created}>
              <When at={job.createdAt} />
            </Fact>
            <Fact name={jobs.took}>{took(job)}</Fact>
            <Fact name={jobs.attempts}>{jobs.attemptsOf(job.attempt, job.failures, job.crashes)}</Fact>
            {job.status === 'queued' && job.attempt > 0 ? (
              <Fact name={jobs.nextAttempt}>
                <Until at={job.runAt} />
              </Fact>
            ) : null}
            {job.lease ? (
              <Fact name={jobs.lease}>
                <span className="font-mono text-xs break-all">{job.lease.worker}</span>
                <span className="block text-xs text-muted">
                  {jobs.fence(job.lease.fence, format.clock(job.lease.until))}
                </span>
              </Fact>
            ) : null}
            {job.dependsOn ? (
              <Fact name={jobs.dependsOn}>
                <Link to="/admin/jobs/$jobId" params={{ jobId: job.dependsOn }} className="font-mono text-xs link">
                  {job.dependsOn}
                </Link>
              </Fact>
            ) : null}
            {job.requestId ? (
              <Fact name={jobs.request}>
                <span className="font-mono text-xs">{job.requestId}</span>
              </Fact>
            ) : null}
          </dl>
        </CardBody>
      </Card>
      {job.kind === 'rebuild_image' ? <BuildOfJob jobId={job.id} over={isOver(job)} /> : null}
      <div className="grid items-start gap-5 lg:grid-cols-[20rem_1fr]">
        <Card>
          <CardHead title={jobs.steps} level={3} />
          <CardBody>
            <Steps steps={job.steps} />
          </CardBody>
        </Card>
        <Card className="min-w-0">
          <CardHead title={jobs.events} level={3} />
          <CardBody>
            <Events events={job.events} more={job.moreEvents} />
          </CardBody>
        </Card>
      </div>
      <details className="rounded-xl border bg-surface px-5 py-3">
        <summary className="cursor-pointer font-medium">{jobs.payload}</summary>
        <pre className="mt-3 overflow-x-auto rounded-lg bg-sunken p-3 font-mono text-xs">
          {JSON.stringify(job.payload, null, 2)}
        </pre>
      </details>
    </KeepsFocus>
  );
}
