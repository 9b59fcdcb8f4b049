import { useQuery } from '@tanstack/react-query';
import { Server } from 'lucide-react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { KeepsFocus } from '@/components/keeps-focus';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card, CardBody } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { Notice } from '@/components/ui/notice';
import { Progress } from '@/components/ui/progress';
import { When } from '@/components/when';
import { Confirm } from '../parts/confirm';
import { Fact, Heading } from '../parts/heading';
import { Loaded } from '../parts/loaded';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';
import { CapacityCard } from './capacity-card';

const EVERY_MS = 3_000;

/** The processes that do the work. */
export function WorkersPage() {
  const { workers } = useAdminTexts();
  const query = useQuery({
    queryKey: ['admin', 'workers'],
    queryFn: ({ signal }) => call(client.GET('/api/admin/workers', { signal })),
    refetchInterval: EVERY_MS,
  });
  return (
    <KeepsFocus>
      <Heading title={workers.title} text={workers.text} />
      <CapacityCard />
      <Loaded query={query} rows={2}>
        {({ items }) =>
          items.length === 0 ? (
            <Card>
              <Empty icon={Server} title={workers.none} text={workers.noneText} />
            </Card>
          ) : (
            <>
              {items.some(({ alive }) => alive) ? null : (
                <Notice tone="bad" title={workers.none}>
                  {workers.noneText}
                </Notice>
              )}
              <ul className="grid gap-4 lg:grid-cols-2">
                {items.map((worker) => (
                  <li key={worker.id}>
                    <WorkerCard worker={worker} />
                  </li>
                ))}
              </ul>
            </>
          )
        }
      </Loaded>
    </KeepsFocus>
  );
}

function WorkerCard({ worker }: { worker: Schemas['WorkerView'] }) {
  const { workers, queues } = useAdminTexts();
  const drain = useChange({
    run: () => call(client.POST('/api/admin/workers/{id}/drain', { params: { path: { id: worker.id } } })),
    done: () => workers.drainAsked(worker.id),
    failed: workers.drainFailed(worker.id),
  });
  const draining = worker.draining || worker.drainRequestedAt != null;
  return (
    <Card className="h-full">
      <CardBody className="space-y-4">
        <div className="flex flex-wrap items-start justify-between gap-3">
          <div className="min-w-0">
            <h3 className="font-mono text-[0.8125rem] font-medium break-all">{worker.id}</h3>
            <p className="mt-1.5 flex flex-wrap gap-1.5">
              {worker.alive ? (
                <Badge tone={worker.standby ? 'bad' : draining ? 'warn' : 'good'}>
                  {worker.standby ? workers.standby : draining ? workers.draining : workers.alive}
                </Badge>
              ) : (
                <Badge tone="neutral">{workers.gone}</Badge>
              )}
              {worker.queues.map((queue) => (
                <Badge key={queue}>{queues.names[queue as Schemas['Queue']] ?? queue}</Badge>
              ))}
            </p>
          </div>
          {worker.alive && !draining ? (
            <Confirm
              title={workers.drainTitle(worker.id)}
              text={workers.drainText}
              yes={workers.drain}
              danger
              onYes={() => drain.mutate()}
              trigger={(ask) => (
                <Button size="sm" variant="outline" busy={drain.isPending} onClick={ask}>
                  {workers.drain}
                </Button>
              )}
            />
          ) : null}
        </div>
        {worker.alive && worker.standby ? (
          <Notice tone="bad" title={workers.standbyTitles[worker.standby.code] ?? workers.standbyTitle}>
            <p>{workers.standbyText}</p>
            <p className="mt-2 break-words">{worker.standby.message}</p>
          </Notice>
        ) : null}
        {worker.alive && worker.dockerError && worker.standby?.code !== 'wrong_engine' ? (
          <Notice tone="bad" title={workers.noDocker}>
            {worker.dockerError}
          </Notice>
        ) : null}
        {worker.alive ? (
          <div className="space-y-1.5">
            <p className="flex justify-between text-[0.8125rem]">
              <span>{workers.load}</span>
              <span className="tabular-nums">{workers.of(worker.running, worker.concurrency)}</span>
            </p>
            <Progress value={(worker.running / Math.max(1, worker.concurrency)) * 100} label={workers.load} />
          </div>
        ) : null}
        <dl className="grid grid-cols-2 gap-x-4 gap-y-3 text-[0.8125rem]">
          <Fact name={workers.host}>
            {worker.host}, {workers.pid(worker.pid)}
          </Fact>
          <Fact name={workers.version}>{worker.version}</Fact>
          <Fact name={workers.started}>
            <When at={worker.startedAt} />
          </Fact>
          <Fact name={workers.heartbeat}>
            <When at={worker.heartbeatAt} />
          </Fact>
        </dl>
      </CardBody>
    </Card>
  );
}
