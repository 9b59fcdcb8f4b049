import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { ListChecks, SearchX } from 'lucide-react';
import { call, client } from '@/api/client';
import { More, usePages } from '@/components/pages';
import { Button } from '@/components/ui/button';
import { Empty } from '@/components/ui/empty';
import { Heading } from '../parts/heading';
import { Loaded } from '../parts/loaded';
import { Table, Th } from '../parts/table';
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
  return (
    <>
      <Heading title={jobs.title} text={jobs.text} />
      <Filters search={search} onChange={show} />
      <Loaded query={query} rows={6}>
        {({ pages }) => {
          const items = pages.flatMap((page) => page.items);
          if (items.length === 0) {
            return (
              <div className="rounded-xl border bg-surface">
                <Empty
                  icon={filtered ? SearchX : ListChecks}
                  title={filtered ? jobs.noMatch : jobs.none}
                  action={
                    filtered ? (
                      <Button variant="outline" onClick={() => show({})}>
                        {jobs.clear}
                      </Button>
                    ) : (
                      <Button asChild variant="outline">
                        <Link to="/instances">{jobs.toInstances}</Link>
                      </Button>
                    )
                  }
                />
              </div>
            );
          }
          return (
            <>
              <Table label={jobs.title}>
                <thead>
                  <tr>
                    <Th>{jobs.job}</Th>
                    <Th>{jobs.status}</Th>
                    <Th aside>{jobs.owner}</Th>
                    <Th aside>{jobs.attempts}</Th>
                    <Th>{jobs.created}</Th>
                    <Th aside className="text-right">
                      {jobs.took}
                    </Th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((job) => (
                    <JobRow key={job.id} job={job} />
                  ))}
                </tbody>
              </Table>
              <More query={query} />
            </>
          );
        }}
      </Loaded>
    </>
  );
}
