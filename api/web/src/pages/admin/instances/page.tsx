import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { Boxes, SearchX } from 'lucide-react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { More, usePages } from '@/components/pages';
import { Badge, type Tone } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { When } from '@/components/when';
import { cores } from '@/lib/format';
import { useTexts } from '@/texts';
import { TypedInput } from '../jobs/filters';
import { Heading } from '../parts/heading';
import { Loaded } from '../parts/loaded';
import { Table, Td, Th, Tr } from '../parts/table';
import { useAdminTexts } from '../texts';

const TONES: Partial<Record<Schemas['InstanceStatus'], Tone>> = {
  running: 'good',
  stopped: 'neutral',
  error: 'bad',
};

/** Everybody's instances. */
export function AllInstancesPage() {
  const { instances } = useAdminTexts();
  const search = useSearch({ from: '/layout/admin/instances' });
  const navigate = useNavigate({ from: '/admin/instances' });
  const show = (q: string) => void navigate({ to: '/admin/instances', search: q ? { q } : {}, replace: true });
  const query = usePages(['admin', 'instances', search], (cursor, signal) =>
    call(
      client.GET('/api/admin/instances', {
        signal,
        params: { query: { limit: 100, ...search, ...(cursor ? { cursor } : {}) } },
      }),
    ),
  );
  return (
    <>
      <Heading title={instances.title} text={instances.text} />
      <TypedInput label={instances.search} value={search.q ?? ''} onRest={show} className="mb-4 sm:max-w-md" icon />
      <Loaded query={query} rows={6}>
        {({ pages }) => {
          const items = pages.flatMap((page) => page.items);
          if (items.length === 0) {
            return (
              <Card>
                {search.q ? (
                  <Empty
                    icon={SearchX}
                    title={instances.noMatch}
                    action={
                      <Button variant="outline" onClick={() => show('')}>
                        {instances.clear}
                      </Button>
                    }
                  />
                ) : (
                  <Empty icon={Boxes} title={instances.none} />
                )}
              </Card>
            );
          }
          return (
            <>
              <Table label={instances.title}>
                <thead>
                  <tr>
                    <Th>{instances.name}</Th>
                    <Th>{instances.status}</Th>
                    <Th aside>{instances.owner}</Th>
                    <Th aside>{instances.version}</Th>
                    <Th aside>{instances.limits}</Th>
                    <Th className="max-sm:hidden">{instances.created}</Th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((instance) => (
                    <Row key={instance.id} instance={instance} />
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

function Row({ instance }: { instance: Schemas['OwnedInstance'] }) {
  const texts = useTexts();
  const { instances } = useAdminTexts();
  return (
    <Tr>
      <Td className="max-w-72">
        <span className="font-medium">{instance.name}</span>
        <Link
          to="/admin/jobs"
          search={{ instance: instance.id }}
          title={instances.toJobs(instance.name)}
          className="block font-mono text-xs text-muted underline-offset-4 hover:text-ink hover:underline"
        >
          {instance.id}
        </Link>
        <span className="block truncate text-xs text-muted md:hidden">{instance.ownerEmail}</span>
        {instance.error ? (
          <p className="mt-0.5 line-clamp-2 text-[0.8125rem] text-bad" title={instance.error.message}>
            {instance.error.message}
          </p>
        ) : null}
      </Td>
      <Td>
        <Badge tone={TONES[instance.status] ?? 'busy'}>{texts.instances.statuses[instance.status]}</Badge>
      </Td>
      <Td aside className="max-w-56 truncate">
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
