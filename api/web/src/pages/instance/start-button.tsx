import { Play } from 'lucide-react';
import { type Instance, isAsleep, isBlocked } from '@/api/instances';
import { usePowerAct } from '@/components/power-act';
import { Button } from '@/components/ui/button';
import { useTexts } from '@/texts';

/** Starts an instance from where one sees that it has to run. None while that would be refused. */
export function StartButton({ instance }: { instance: Instance }) {
  const { actions } = useTexts().instance;
  const act = usePowerAct(instance);
  if (instance.status === 'running' || isBlocked(instance)) return null;
  return (
    <Button size="sm" variant="outline" onClick={() => act('start')}>
      <Play aria-hidden />
      {instance.status === 'error' ? actions.retry : isAsleep(instance) ? actions.wake : actions.start}
    </Button>
  );
}
