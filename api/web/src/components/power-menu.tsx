import { Link } from '@tanstack/react-router';
import { Ellipsis, Play, RotateCw, Settings, Square, SquareTerminal } from 'lucide-react';
import { type Instance, isWorking, type Power, usePower } from '@/api/instances';
import { toast } from '@/components/toasts';
import { wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { Button } from './ui/button';
import { Menu, MenuItem, MenuSeparator } from './ui/menu';

/** What can be done to an instance from a list. */
export function PowerMenu({ instance }: { instance: Instance }) {
  const { instances, instance: words } = useTexts();
  const act = usePowerAct(instance);
  const { id, name } = instance;
  const working = isWorking(instance);
  return (
    <Menu
      trigger={
        <Button variant="ghost" size="iconSm" aria-label={instances.actions(name)}>
          <Ellipsis aria-hidden />
        </Button>
      }
    >
      {instance.status === 'running' ? (
        <>
          <MenuItem disabled={working} onSelect={() => act('restart')}>
            <RotateCw aria-hidden />
            {words.actions.restart}
          </MenuItem>
          <MenuItem disabled={working} onSelect={() => act('stop')}>
            <Square aria-hidden />
            {words.actions.stop}
          </MenuItem>
          <MenuItem asChild>
            <Link to="/instances/$id/terminal" params={{ id }}>
              <SquareTerminal aria-hidden />
              {words.actions.terminal}
            </Link>
          </MenuItem>
        </>
      ) : (
        <MenuItem disabled={working} onSelect={() => act('start')}>
          <Play aria-hidden />
          {words.actions.start}
        </MenuItem>
      )}
      <MenuSeparator />
      <MenuItem asChild>
        <Link to="/instances/$id/settings" params={{ id }}>
          <Settings aria-hidden />
          {words.actions.settings}
        </Link>
      </MenuItem>
    </Menu>
  );
}

/** Starts, stops or restarts an instance and says so. */
export function usePowerAct(instance: Pick<Instance, 'id' | 'name'>): (power: Power) => void {
  const texts = useTexts();
  const { mutate } = usePower(instance.id);
  return (power) =>
    mutate(power, {
      onSuccess: () => toast.success(texts.instance.accepted[power](instance.name)),
      onError: (error) => toast.error(texts.instance.failed[power](instance.name), wordsFor(error, texts)),
    });
}
