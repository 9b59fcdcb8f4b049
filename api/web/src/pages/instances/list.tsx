import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Boxes, Plus, SearchX } from 'lucide-react';
import { useDeferredValue, useMemo, useState } from 'react';
import { instancesQuery } from '@/api/instances';
import { Page } from '@/components/page';
import { LoadFailed } from '@/components/state';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { SearchInput } from '@/components/ui/search-input';
import { Select } from '@/components/ui/select';
import { Skeleton } from '@/components/ui/skeleton';
import { useTexts } from '@/texts';
import { choose, FILTERS, type Filter } from './filter';
import { Rows } from './rows';

export function InstancesPage() {
  const { instances: words } = useTexts();
  const list = useQuery(instancesQuery);
  const [search, setSearch] = useState('');
  const [filter, setFilter] = useState<Filter>('all');
  // Typing stays quick with a thousand of them.
  const sought = useDeferredValue(search);
  const shown = useMemo(() => choose(list.data ?? [], sought, filter), [list.data, sought, filter]);
  const all = list.data?.length ?? 0;
  const create = (
    <Button asChild>
      <Link to="/instances/new">
        <Plus aria-hidden />
        {words.create}
      </Link>
    </Button>
  );

  const deleted = (
    <Button asChild variant="ghost">
      <Link to="/instances/deleted">{words.deleted}</Link>
    </Button>
  );

  if (list.isPending) {
    return (
      <Page title={words.title} text={words.text} actions={create}>
        <Loading />
      </Page>
    );
  }
  if (list.isError && !list.data) {
    return (
      <Page title={words.title} text={words.text}>
        <Card>
          <LoadFailed error={list.error} onRetry={() => void list.refetch()} />
        </Card>
      </Page>
    );
  }
  if (all === 0) {
    return (
      <Page title={words.title} text={words.text}>
        <Card>
          <Empty
            icon={Boxes}
            title={words.empty.title}
            text={words.empty.text}
            action={
              <>
                {create}
                {deleted}
              </>
            }
          />
        </Card>
      </Page>
    );
  }
  return (
    <Page
      title={words.title}
      text={words.text}
      actions={
        <>
          {deleted}
          {create}
        </>
      }
    >
      <div className="mb-3 flex flex-wrap items-center gap-2">
        <SearchInput label={words.search} className="min-w-48 flex-1 sm:max-w-xs" value={search} onChange={setSearch} />
        <Select
          aria-label={words.filter}
          className="w-44"
          value={filter}
          onChange={setFilter}
          options={FILTERS.map((value) => ({ value, label: words.filters[value] }))}
        />
        <p role="status" className="ml-auto text-[0.8125rem] text-muted">
          {words.count(shown.length, all)}
        </p>
      </div>
      <Card className="overflow-hidden">
        {shown.length ? (
          <Rows instances={shown} />
        ) : (
          <Empty
            icon={SearchX}
            title={words.noMatch.title}
            text={words.noMatch.text}
            action={
              <Button
                variant="outline"
                onClick={() => {
                  setSearch('');
                  setFilter('all');
                }}
              >
                {words.noMatch.clear}
              </Button>
            }
          />
        )}
      </Card>
    </Page>
  );
}

function Loading() {
  const { common } = useTexts();
  return (
    <Card role="status" className="divide-y">
      <span className="sr-only">{common.loading}</span>
      {['a', 'b', 'c'].map((key) => (
        <div key={key} className="flex h-18 items-center gap-4 px-5">
          <Skeleton className="h-9 w-9 rounded-lg" />
          <div className="flex-1 space-y-2">
            <Skeleton className="h-3.5 w-40" />
            <Skeleton className="h-3 w-64 max-w-full" />
          </div>
          <Skeleton className="h-8 w-20" />
        </div>
      ))}
    </Card>
  );
}
