import { Moon } from 'lucide-react';
import { type Instance, isAsleep, isWorking } from '@/api/instances';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { Badge, type Tone } from './ui/badge';
import { Spinner } from './ui/spinner';

/** Which colour goes with a status. */
export function toneOf(instance: Pick<Instance, 'status'>): Tone {
  switch (instance.status) {
    case 'running':
      return 'good';
    case 'error':
      return 'bad';
    case 'stopped':
      return 'neutral';
    default:
      return 'busy';
  }
}

/** The status of an instance in a word. One that sleeps is stopped, but nobody has to start it. */
export function StatusBadge({ instance }: { instance: Instance }) {
  const { instances, jobs, common } = useTexts();
  // What is being done says more than the status that it began with.
  const job = instance.currentJob;
  const busy = isWorking(instance);
  const asleep = isAsleep(instance);
  return (
    <Badge tone={busy ? 'busy' : toneOf(instance)}>
      {busy ? (
        <Spinner className="size-3" />
      ) : asleep ? (
        <Moon aria-hidden className="size-3" />
      ) : (
        <span aria-hidden className="size-1.5 rounded-full bg-current" />
      )}
      {/* A newer API may say a word that this page does not know. */}
      {job
        ? wordFor(jobs.doing, job.kind, jobs.newer)
        : asleep
          ? instances.asleep
          : wordFor(instances.statuses, instance.status, common.unknown)}
    </Badge>
  );
}
