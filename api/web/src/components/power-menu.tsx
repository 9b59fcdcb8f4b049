import { Ellipsis } from 'lucide-react';
import { lazy } from 'react';
import type { Instance } from '@/api/instances';
import { useTexts } from '@/texts';
import { Button } from './ui/button';
import { LaterMenu } from './ui/later-menu';

const load = () => import('./power-menu-items');
const PowerMenuItems = lazy(load);

/** What can be done to an instance from a list. */
export function PowerMenu({ instance }: { instance: Instance }) {
  const { instances } = useTexts();
  return (
    <LaterMenu
      load={load}
      trigger={
        <Button variant="ghost" size="iconSm" aria-label={instances.actions(instance.name)}>
          <Ellipsis aria-hidden />
        </Button>
      }
    >
      {(menu) => <PowerMenuItems {...menu} instance={instance} />}
    </LaterMenu>
  );
}
