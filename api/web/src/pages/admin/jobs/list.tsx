import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { ListChecks } from 'lucide-react';
import { call, client } from '@/api/client';
import { usePages } from '@/components/pages';
import { Button } from '@/components/ui/button';
import { Empty } from '@/components/ui/empty';
import { Heading } from '../parts/heading';
import { Listed, NoMatch } from '../parts/listed';
import { Th } from '../parts/table';
import { useAdminTexts } from '../texts';
import { Filters } from './filters';
import { JobRow } from './job-row';
import type { JobsSearch } from './search';

/** Every job there was, newest first. */
export function JobsPage() {
  const { jobs } = useAdminTexts();
  const search = useSearch({ from: '/layout/admin/jobs' });
  const navigate = useNavigate({ from: '/admin/jobs' });
  const show = (next: JobsSearch) => void navigate({ to: '/admin/jobs', search: next, replace: true });
  const query = usePages(['admin', 'jobs', search], (cursor, signal) =>
    call(
      client.GET('/api/admin/jobs', {
        signal,
        params: { query: { ...search, ...(cursor ? { cursor } : {}) } },
        // Several statuses are one word, separated by commas.
        querySerializer: { array: { style: 'form', explode: false } },
      }),
    ),
  );
  const filtered = Object.keys(search).length > 0;
  const none = (
    <Empty
      icon={ListChecks}
      title={jobs.none}
      action={
        <Button asChild variant="outline">
          <Link to="/instances">{jobs.toInstances}</Link>
        </Button>
      }
    />
  );
  return (
    <>
      <Heading title={jobs.title} text={jobs.text} />
      <Filters search={search} onChange={show} />
      <Listed
        query={query}
        label={jobs.title}
        empty={filtered ? <NoMatch title={jobs.noMatch} onClear={() => show({})} /> : none}
        head={
          <>
            <Th>{jobs.job}</Th>
            <Th>{jobs.status}</Th>
            <Th aside>{jobs.owner}</Th>
            <Th aside>{jobs.attempts}</Th>
            <Th>{jobs.created}</Th>
            <Th aside className="text-right">
              {jobs.took}
            </Th>
          </>
        }
      >
        {(job) => <JobRow key={job.id} job={job} />}
      </Listed>
    </>
  );
}
