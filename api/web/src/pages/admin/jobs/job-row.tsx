import { Link } from '@tanstack/react-router';
import type { Schemas } from '@/api/contract';
import { When } from '@/components/when';
import { span } from '@/lib/format';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { JobStatus } from '../parts/job-status';
import { Td, Tr } from '../parts/table';
import { useAdminTexts } from '../texts';

/** How long a job has taken, from its beginning to its end or until now. */
export function took({ startedAt, finishedAt }: Schemas['JobView'], now = Date.now()): string {
  if (!startedAt) return '–';
  return span(Math.max(0, (finishedAt ? Date.parse(finishedAt) : now) - Date.parse(startedAt)));
}

export function JobRow({ job }: { job: Schemas['AdminJob'] }) {
  const texts = useTexts();
  const { jobs } = useAdminTexts();
  const trouble = [
    job.failures > 0 ? jobs.failures(job.failures) : '',
    job.crashes > 0 ? jobs.crashes(job.crashes) : '',
  ].filter(Boolean);
  return (
    <Tr>
      <Td className="max-w-80">
        <Link
          to="/admin/jobs/$jobId"
          params={{ jobId: job.id }}
          className="font-medium underline-offset-4 hover:underline"
        >
          {wordFor(texts.jobs.kinds, job.kind, texts.jobs.newer)}
        </Link>
        {job.instanceName ? (
          <span className="wrap-anywhere text-muted max-sm:block sm:ml-2">{job.instanceName}</span>
        ) : null}
        {job.instanceId ? <span className="block font-mono text-xs text-muted">{job.instanceId}</span> : null}
        {job.error ? (
          <p className="mt-0.5 line-clamp-2 text-[0.8125rem] wrap-anywhere text-bad" title={job.error.message}>
            {job.error.message}
          </p>
        ) : null}
        {job.status === 'running' && job.step ? (
          <p className="mt-0.5 text-[0.8125rem] text-muted">{texts.jobs.steps[job.step] ?? job.step}</p>
        ) : null}
      </Td>
      <Td>
        <JobStatus status={job.status} />
      </Td>
      <Td aside className="max-w-56 truncate" title={job.ownerEmail ?? undefined}>
        {job.ownerEmail ?? <span className="text-muted">{jobs.nobody}</span>}
      </Td>
      <Td aside className="tabular-nums">
        {job.attempt}
        {trouble.length > 0 ? <span className="block text-xs text-muted">{trouble.join(', ')}</span> : null}
      </Td>
      <Td className="text-muted sm:whitespace-nowrap">
        <When at={job.createdAt} />
      </Td>
      <Td aside className="text-right whitespace-nowrap tabular-nums">
        {took(job)}
      </Td>
    </Tr>
  );
}
