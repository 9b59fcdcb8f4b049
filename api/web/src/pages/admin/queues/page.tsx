import { useQuery } from '@tanstack/react-query';
import { call, client } from '@/api/client';
import { Heading } from '../parts/heading';
import { Loaded } from '../parts/loaded';
import { useAdminTexts } from '../texts';
import { QueueCard } from './queue-card';

const EVERY_MS = 3_000;

/** What waits, who does it, and how fast. */
export function QueuesPage() {
  const { queues } = useAdminTexts();
  const query = useQuery({
    queryKey: ['admin', 'queues'],
    queryFn: ({ signal }) => call(client.GET('/api/admin/queues', { signal })),
    refetchInterval: EVERY_MS,
  });
  return (
    <>
      <Heading title={queues.title} text={queues.text} />
      <Loaded query={query} rows={3}>
        {({ items }) => (
          <div className="space-y-5">
            {items.map((queue) => (
              <QueueCard key={queue.queue} queue={queue} />
            ))}
          </div>
        )}
      </Loaded>
    </>
  );
}
