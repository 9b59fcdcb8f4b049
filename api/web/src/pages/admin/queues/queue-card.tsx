import { Link } from '@tanstack/react-router';
import { Pause, Play } from 'lucide-react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { Notice } from '@/components/ui/notice';
import { When } from '@/components/when';
import { cn } from '@/lib/cn';
import { span } from '@/lib/format';
import { Confirm } from '../parts/confirm';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';
import { MinutesChart } from './minutes-chart';
import { Throughput } from './throughput';

type Queue = Schemas['QueueView'];

/** One queue: what is in it, and how it did lately. */
export function QueueCard({ queue }: { queue: Queue }) {
  const { queues } = useAdminTexts();
  const name = queues.names[queue.queue];
  const { succeeded, failed, cancelled } = queue.lastHour;
  const busy = succeeded + failed + cancelled > 0;
  const path = { params: { path: { queue: queue.queue } } };
  const pause = useChange({
    run: () => call(client.POST('/api/admin/queues/{queue}/pause', path)),
    done: () => queues.pausedToast(name),
    failed: queues.pauseFailed(name),
  });
  const resume = useChange({
    run: () => call(client.POST('/api/admin/queues/{queue}/resume', path)),
    done: () => queues.resumedToast(name),
    failed: queues.resumeFailed(name),
  });
  return (
    <Card aria-label={name}>
      <CardHead
        title={
          <span className="inline-flex flex-wrap items-center gap-2">
            {name}
            {queue.pausedAt ? <Badge tone="warn">{queues.paused}</Badge> : null}
          </span>
        }
        text={queues.about[queue.queue]}
        level={3}
        action={
          <Confirm
            title={queues.pauseTitle(name)}
            text={queues.pauseText}
            yes={queues.pause}
            onYes={() => pause.mutate()}
            trigger={(ask) => (
              // One button for both, so that it keeps the focus.
              <Button
                size="sm"
                variant={queue.pausedAt ? 'primary' : 'outline'}
                busy={pause.isPending || resume.isPending}
                onClick={queue.pausedAt ? () => resume.mutate() : ask}
              >
                {queue.pausedAt ? <Play aria-hidden /> : <Pause aria-hidden />}
                {queue.pausedAt ? queues.resume : queues.pause}
              </Button>
            )}
          />
        }
      />
      <CardBody className="space-y-4">
        {queue.pausedAt ? (
          <Notice tone="warn" title={queues.pausedNotice}>
            {queues.pausedSince} <When at={queue.pausedAt} />
          </Notice>
        ) : null}
        {queue.workers === 0 && queue.waiting > 0 ? <Notice tone="bad" title={queues.nobody} /> : null}
        <dl className="grid grid-cols-2 gap-x-4 gap-y-3 sm:grid-cols-3 lg:grid-cols-6">
          <Count name={queues.waiting} value={queue.waiting} status="queued" />
          <Count name={queues.running} value={queue.running} status="running" />
          <Count name={queues.delayed} value={queue.delayed} />
          <Count
            name={queues.failedLastDay}
            value={queue.failedLastDay}
            status="failed"
            bad={queue.failedLastDay > 0}
          />
          <Figure name={queues.oldest}>
            {queue.oldestWaitingSeconds == null ? '–' : span(queue.oldestWaitingSeconds * 1000)}
          </Figure>
          <Figure name={queues.workers} bad={queue.workers === 0}>
            {queue.workers}
          </Figure>
        </dl>
        {busy ? <MinutesChart minutes={queue.minutes} name={name} /> : null}
        <Throughput queue={queue} />
      </CardBody>
    </Card>
  );
}

type CountProps = { name: string; value: number; status?: Schemas['JobStatus']; bad?: boolean };

/** A number of jobs, with the way to them. */
function Count({ name, value, status, bad }: CountProps) {
  return (
    <Figure name={name} {...(bad === undefined ? {} : { bad })}>
      {status && value > 0 ? (
        <Link to="/admin/jobs" search={{ status: [status] }} className="underline-offset-4 hover:underline">
          {value}
        </Link>
      ) : (
        value
      )}
    </Figure>
  );
}

function Figure({ name, bad, children }: { name: string; bad?: boolean; children: React.ReactNode }) {
  return (
    <div>
      <dt className="text-xs text-muted">{name}</dt>
      <dd className={cn('mt-0.5 text-xl font-semibold tracking-tight tabular-nums', bad && 'text-bad')}>{children}</dd>
    </div>
  );
}
