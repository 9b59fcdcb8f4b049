import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { Boxes } from 'lucide-react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { usePages } from '@/components/pages';
import { StatusBadge } from '@/components/status';
import { Badge } from '@/components/ui/badge';
import { Empty } from '@/components/ui/empty';
import { Select } from '@/components/ui/select';
import { When } from '@/components/when';
import { cores } from '@/lib/format';
import { useTexts } from '@/texts';
import { Heading } from '../parts/heading';
import { Listed, NoMatch } from '../parts/listed';
import { Td, Th, Tr } from '../parts/table';
import { TypedInput } from '../parts/typed-input';
import { useAdminTexts } from '../texts';
import { type InstancesSearch, STATE_NAMES, STATES } from './search';

/** Everybody's instances. */
export function AllInstancesPage() {
  const { instances } = useAdminTexts();
  const { filter, filters } = useTexts().instances;
  const { q, state } = useSearch({ from: '/layout/admin/instances' });
  const navigate = useNavigate({ from: '/admin/instances' });
  const show = (search: InstancesSearch) => void navigate({ to: '/admin/instances', search, replace: true });
  const asked = { ...(q ? { q } : {}), ...(state ? { status: [...STATES[state]] } : {}) };
  const query = usePages(['admin', 'instances', asked], (cursor, signal) =>
    call(
      client.GET('/api/admin/instances', {
        signal,
        params: { query: { limit: 100, ...asked, ...(cursor ? { cursor } : {}) } },
        // Several statuses are one word, separated by commas.
        querySerializer: { array: { style: 'form', explode: false } },
      }),
    ),
  );
  return (
    <>
      <Heading title={instances.title} text={instances.text} />
      <div className="mb-4 flex flex-wrap gap-2">
        <TypedInput
          label={instances.search}
          value={q ?? ''}
          onRest={(word) => show({ ...(word ? { q: word } : {}), ...(state ? { state } : {}) })}
          className="min-w-52 flex-1 sm:max-w-md"
          icon
        />
        <Select
          aria-label={filter}
          value={state ?? 'all'}
          onChange={(next) => show({ ...(q ? { q } : {}), ...(next === 'all' ? {} : { state: next }) })}
          options={[
            { value: 'all' as const, label: filters.all },
            // Those that sleep are stopped, to the server that looks for them.
            ...STATE_NAMES.map((value) => ({
              value,
              label: value === 'stopped' ? instances.stopped : filters[value],
            })),
          ]}
          className="w-44"
        />
      </div>
      <Listed
        query={query}
        label={instances.title}
        empty={
          q || state ? (
            <NoMatch title={instances.noMatch} onClear={() => show({})} />
          ) : (
            <Empty icon={Boxes} title={instances.none} />
          )
        }
        head={
          <>
            <Th>{instances.name}</Th>
            <Th>{instances.status}</Th>
            <Th aside>{instances.owner}</Th>
            <Th aside>{instances.version}</Th>
            <Th aside>{instances.limits}</Th>
            <Th className="max-sm:hidden">{instances.created}</Th>
          </>
        }
      >
        {(instance) => <Row key={instance.id} instance={instance} />}
      </Listed>
    </>
  );
}

function Row({ instance }: { instance: Schemas['OwnedInstance'] }) {
  const { instances, parts } = useAdminTexts();
  return (
    <Tr>
      <Td className="max-w-52 sm:max-w-72">
        <Link
          to="/instances/$id"
          params={{ id: instance.id }}
          className="font-medium wrap-anywhere underline-offset-4 hover:underline"
        >
          {instance.name}
        </Link>
        <p className="flex flex-wrap gap-x-2 text-xs text-muted">
          <span className="font-mono">{instance.id}</span>
          <Link
            to="/admin/jobs"
            search={{ instance: instance.id }}
            aria-label={instances.toJobs(instance.name)}
            className="underline underline-offset-4 hover:text-ink"
          >
            {parts.jobs}
          </Link>
        </p>
        <span className="block truncate text-xs text-muted md:hidden">{instance.ownerEmail}</span>
        {instance.error ? (
          <p className="mt-0.5 line-clamp-2 text-[0.8125rem] wrap-anywhere text-bad" title={instance.error.message}>
            {instance.error.message}
          </p>
        ) : null}
      </Td>
      <Td>
        <StatusBadge instance={instance} />
      </Td>
      <Td aside className="max-w-56 truncate" title={instance.ownerEmail ?? undefined}>
        {instance.ownerEmail ?? '–'}
      </Td>
      <Td aside className="whitespace-nowrap">
        {instance.openclawVersion ?? '–'}
        {instance.vulnerable ? (
          <Badge tone="bad" className="ml-2">
            {instances.vulnerable}
          </Badge>
        ) : instance.updateAvailable ? (
          <Badge tone="warn" className="ml-2">
            {instances.outdated}
          </Badge>
        ) : null}
      </Td>
      <Td aside className="whitespace-nowrap tabular-nums">
        {instances.limitsOf(cores(instance.cpuMillis), instance.memoryMb)}
      </Td>
      <Td className="whitespace-nowrap text-muted max-sm:hidden">
        <When at={instance.createdAt} />
      </Td>
    </Tr>
  );
}
