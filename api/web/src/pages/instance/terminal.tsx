import { SquareTerminal } from 'lucide-react';
import { isAsleep, useInstance } from '@/api/instances';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { TerminalPanel } from '@/terminal/panel';
import { useTexts } from '@/texts';
import { StartButton } from './start-button';
import { useInstanceId } from './use-id';

export function Terminal() {
  const id = useInstanceId();
  const { terminal } = useTexts();
  const instance = useInstance(id).data;
  if (!instance) return null;
  const running = instance.status === 'running';
  return (
    <TerminalPanel
      instanceId={id}
      awake={running}
      closed={
        running || isAsleep(instance) ? null : (
          <Card>
            <Empty icon={SquareTerminal} title={terminal.notRunning} action={<StartButton instance={instance} />} />
          </Card>
        )
      }
    />
  );
}
