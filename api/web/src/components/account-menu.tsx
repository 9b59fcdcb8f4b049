import { lazy } from 'react';
import { useMe } from '@/api/session';
import { useTexts } from '@/texts';
import { LaterMenu } from './ui/later-menu';

const load = () => import('./account-menu-items');
const AccountMenuItems = lazy(load);

/** Who is signed in, and what they may do about it. */
export function AccountMenu() {
  const { nav } = useTexts().common;
  const me = useMe();
  const name = me?.name || me?.email || '';
  return (
    <LaterMenu
      load={load}
      trigger={
        <button
          type="button"
          aria-label={nav.account(me?.email ?? '')}
          className="grid size-8 place-items-center rounded-full bg-ink/8 text-xs font-semibold uppercase transition-colors hover:bg-ink/14"
        >
          {name.slice(0, 2)}
        </button>
      }
    >
      {(menu) => <AccountMenuItems {...menu} />}
    </LaterMenu>
  );
}
