import { useQuery } from '@tanstack/react-query';
import { LifeBuoy } from 'lucide-react';
import { call, client } from '@/api/client';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { Heading } from '../parts/heading';
import { Loaded } from '../parts/loaded';
import { useAdminTexts } from '../texts';
import type { Recoverable } from './recoverable';
import { RecoverableRow } from './row';

/** Instances whose files are there and whose rows are not: deleted ones, and those that the database does not know. */
export function RecoveryPage() {
  const { recovery } = useAdminTexts();
  const query = useQuery({
    queryKey: ['admin', 'recoverable'],
    queryFn: ({ signal }) => call(client.GET('/api/admin/recoverable-instances', { signal })),
    refetchInterval: 5_000,
  });
  return (
    <>
      <Heading title={recovery.title} text={recovery.text} />
      <Loaded query={query} rows={3}>
        {({ items }) =>
          items.length === 0 ? (
            <Card>
              <Empty icon={LifeBuoy} title={recovery.none} text={recovery.noneText} />
            </Card>
          ) : (
            <>
              <Section
                title={recovery.unclaimed}
                text={recovery.unclaimedText}
                items={items.filter(({ state }) => state === 'unclaimed')}
              />
              <Section
                title={recovery.deleted}
                text={recovery.deletedText}
                items={items.filter(({ state }) => state !== 'unclaimed')}
              />
            </>
          )
        }
      </Loaded>
    </>
  );
}

function Section({ title, text, items }: { title: string; text: string; items: Recoverable[] }) {
  if (items.length === 0) return null;
  return (
    <section aria-label={title}>
      <h3 className="font-semibold tracking-tight">{title}</h3>
      <p className="mt-0.5 mb-2 max-w-2xl text-[0.8125rem] text-muted">{text}</p>
      <Card className="overflow-hidden">
        <ul className="divide-y">
          {items.map((item) => (
            <li key={item.id}>
              <RecoverableRow item={item} />
            </li>
          ))}
        </ul>
      </Card>
    </section>
  );
}
