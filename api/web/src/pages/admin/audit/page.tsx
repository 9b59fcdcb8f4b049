import { useNavigate, useSearch } from '@tanstack/react-router';
import { ScrollText } from 'lucide-react';
import { useEffect, useState } from 'react';
import { More, usePages } from '@/components/pages';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { Select } from '@/components/ui/select';
import { Spinner } from '@/components/ui/spinner';
import { useTexts } from '@/texts';
import { Heading } from '../parts/heading';
import { NoMatch } from '../parts/listed';
import { Loaded } from '../parts/loaded';
import { Table, Th } from '../parts/table';
import { TypedInput } from '../parts/typed-input';
import { useAdminTexts } from '../texts';
import { EntryRow } from './entry-row';
import { Export } from './export';
import { goesOn, matches, serverFilter } from './filter';
import { loadAudit } from './load';
import { type AuditSearch, OUTCOMES, SPANS } from './search';

/** As many matches are looked for at a time, in at most so many pages: then one decides whether to look further. */
const WANTED = 50;
const MOST_PAGES = 20;

/** Who changed what. */
export function AuditPage() {
  const { common } = useTexts();
  const { audit } = useAdminTexts();
  const search = useSearch({ from: '/layout/admin/audit' });
  const navigate = useNavigate({ from: '/admin/audit' });
  const [now] = useState(Date.now);
  const filter = serverFilter(search, now);
  const query = usePages(['admin', 'audit', filter], (cursor, signal) => loadAudit(filter, cursor, signal), 15_000);
  const entries = query.data?.pages.flatMap((page) => page.items) ?? [];
  const found = entries.filter((entry) => matches(entry, search, now));
  const filtered = Object.keys(search).length > 0;
  const pages = query.data?.pages.length ?? 0;
  const further = query.hasNextPage && goesOn(entries.at(-1), search, now);
  const looking = filtered && further && found.length < WANTED && pages < MOST_PAGES && !query.isError;
  const { fetchNextPage, isFetching } = query;
  useEffect(() => {
    if (looking && !isFetching) void fetchNextPage();
  }, [looking, isFetching, fetchNextPage]);
  const change = (part: { [Name in keyof AuditSearch]?: AuditSearch[Name] | undefined }) => {
    const next = Object.entries({ ...search, ...part }).filter(([, value]) => value);
    void navigate({ to: '/admin/audit', search: Object.fromEntries(next) as AuditSearch, replace: true });
  };
  return (
    <>
      <Heading title={audit.title} text={audit.text} actions={<Export search={search} />} />
      <div className="mb-4 flex flex-wrap gap-2">
        <TypedInput
          label={audit.actor}
          value={search.actor ?? ''}
          onRest={(actor) => change({ actor })}
          className="min-w-40 flex-1"
          icon
        />
        <TypedInput
          label={audit.action}
          value={search.action ?? ''}
          onRest={(action) => change({ action })}
          className="min-w-40 flex-1"
        />
        <TypedInput
          label={audit.target}
          value={search.target ?? ''}
          onRest={(target) => change({ target })}
          className="min-w-40 flex-1"
        />
        <Select
          aria-label={audit.outcome}
          value={search.outcome ?? 'all'}
          onChange={(outcome) => change({ outcome: outcome === 'all' ? undefined : outcome })}
          options={[
            { value: 'all' as const, label: audit.anyOutcome },
            ...OUTCOMES.map((value) => ({ value, label: audit.outcomes[value] })),
          ]}
          className="w-40"
        />
        <Select
          aria-label={audit.span}
          value={search.span ?? 'all'}
          onChange={(span) => change({ span: span === 'all' ? undefined : span })}
          options={SPANS.map((value) => ({ value, label: audit.spans[value] }))}
          className="w-40"
        />
      </div>
      <Loaded query={query} rows={8}>
        {() =>
          found.length === 0 && !looking ? (
            <Card>
              {filtered ? (
                <NoMatch
                  title={audit.noMatch}
                  text={further ? audit.looked(entries.length) : undefined}
                  onClear={() => void navigate({ to: '/admin/audit', search: {}, replace: true })}
                />
              ) : (
                <Empty icon={ScrollText} title={audit.none} />
              )}
            </Card>
          ) : (
            <Table label={audit.title}>
              <thead>
                <tr>
                  <Th>{audit.when}</Th>
                  <Th aside>{audit.actor}</Th>
                  <Th>{audit.action}</Th>
                  <Th aside>{audit.target}</Th>
                  <Th aside>{audit.from}</Th>
                </tr>
              </thead>
              <tbody>
                {found.map((entry) => (
                  <EntryRow key={entry.id} entry={entry} />
                ))}
              </tbody>
            </Table>
          )
        }
      </Loaded>
      {looking ? (
        <p role="status" className="mt-3 flex items-center justify-center gap-2 text-muted">
          <Spinner /> {audit.looking(entries.length)}
        </p>
      ) : further ? (
        <More query={query} />
      ) : null}
      <span className="sr-only" role="status">
        {query.isFetchingNextPage ? common.loading : ''}
      </span>
    </>
  );
}
