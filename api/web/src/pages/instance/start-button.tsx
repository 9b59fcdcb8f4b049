import { Play } from 'lucide-react';
import { type Instance, isAsleep, isBlocked } from '@/api/instances';
import { usePowerAct } from '@/components/power-act';
import { Button } from '@/components/ui/button';
import { type Texts, useTexts } from '@/texts';

/** What starting an instance is called. */
export function startName(
  instance: Pick<Instance, 'status' | 'asleep'>,
  actions: Texts['instance']['actions'],
): string {
  if (instance.status === 'error') return actions.retry;
  return isAsleep(instance) ? actions.wake : actions.start;
}

/** Starts an instance from where one sees that it has to run. None while that would be refused. */
export function StartButton({ instance }: { instance: Instance }) {
  const { actions } = useTexts().instance;
  const act = usePowerAct(instance);
  if (instance.status === 'running' || isBlocked(instance)) return null;
  return (
    <Button size="sm" variant="outline" onClick={() => act('start')}>
      <Play aria-hidden />
      {startName(instance, actions)}
    </Button>
  );
}
