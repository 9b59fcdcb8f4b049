import { Link } from '@tanstack/react-router';
import { Play, RotateCw, Settings, Square, SquareTerminal } from 'lucide-react';
import { type Instance, isAsleep, isBlocked } from '@/api/instances';
import { useTexts } from '@/texts';
import { usePowerAct } from './power-act';
import type { LoadedMenuProps } from './ui/later-menu';
import { Menu, MenuItem, MenuSeparator } from './ui/menu';

/** What [`PowerMenu`] shows. */
export default function PowerMenuItems({ instance, ...menu }: LoadedMenuProps & { instance: Instance }) {
  const { instance: words } = useTexts();
  const act = usePowerAct(instance);
  const { id } = instance;
  const blocked = isBlocked(instance);
  const asleep = isAsleep(instance);
  return (
    <Menu {...menu}>
      {instance.status === 'running' ? (
        <>
          <MenuItem disabled={blocked} onSelect={() => act('restart')}>
            <RotateCw aria-hidden />
            {words.actions.restart}
          </MenuItem>
          <MenuItem disabled={blocked} onSelect={() => act('stop')}>
            <Square aria-hidden />
            {words.actions.stop}
          </MenuItem>
        </>
      ) : (
        <MenuItem disabled={blocked} onSelect={() => act('start')}>
          <Play aria-hidden />
          {asleep ? words.actions.wake : words.actions.start}
        </MenuItem>
      )}
      {asleep ? (
        <MenuItem disabled={blocked} onSelect={() => act('stop')}>
          <Square aria-hidden />
          {words.actions.stayStopped}
        </MenuItem>
      ) : null}
      {instance.status === 'running' || asleep ? (
        <MenuItem asChild>
          <Link to="/instances/$id/terminal" params={{ id }}>
            <SquareTerminal aria-hidden />
            {words.actions.terminal}
          </Link>
        </MenuItem>
      ) : null}
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
