import { Ellipsis, Gauge, KeyRound, ShieldCheck, UserRoundCheck, UserRoundX } from 'lucide-react';
import { useState } from 'react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { Button } from '@/components/ui/button';
import { Menu, MenuItem, MenuSeparator } from '@/components/ui/menu';
import { Confirm } from '../parts/confirm';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';
import type { ShownLink } from './link-dialog';
import { QuotasDialog } from './quotas-dialog';
import { isInvited, ResetDialog } from './reset-dialog';

type UserMenuProps = { user: Schemas['Person']; self: boolean; onLink: (link: ShownLink) => void };

/** What can be done about a person. Nobody can shut themselves out. */
export function UserMenu({ user, self, onLink }: UserMenuProps) {
  const { users } = useAdminTexts();
  const [quotas, setQuotas] = useState(false);
  const [reset, setReset] = useState(false);
  const path = { params: { path: { id: user.id } } };
  const change = useChange({
    run: (body: { role?: Schemas['Person']['role']; suspended?: boolean }) =>
      call(client.PATCH('/api/admin/users/{id}', { ...path, body })),
    done: (_, { role, suspended }) => {
      if (role) return role === 'admin' ? users.promoted(user.email) : users.demoted(user.email);
      return suspended ? users.suspendedToast(user.email) : users.resumed(user.email);
    },
    failed: users.changeFailed(user.email),
  });
  const admin = user.role === 'admin';
  return (
    <>
      <Confirm
        title={admin ? users.demoteTitle(user.email) : users.promoteTitle(user.email)}
        text={admin ? users.demoteText : users.promoteText}
        yes={admin ? users.demote : users.promote}
        onYes={() => change.mutate({ role: admin ? 'user' : 'admin' })}
        trigger={(askRole) => (
          <Confirm
            title={users.suspendTitle(user.email)}
            text={users.suspendText}
            yes={users.suspend}
            danger
            onYes={() => change.mutate({ suspended: true })}
            trigger={(askSuspend) => (
              <Menu
                trigger={
                  <Button
                    variant="ghost"
                    size="iconSm"
                    aria-label={users.actionsFor(user.email)}
                    busy={change.isPending}
                  >
                    <Ellipsis aria-hidden />
                  </Button>
                }
              >
                <MenuItem onSelect={() => setQuotas(true)}>
                  <Gauge aria-hidden />
                  {users.editQuotas}
                </MenuItem>
                <MenuItem onSelect={() => setReset(true)}>
                  <KeyRound aria-hidden />
                  {isInvited(user) ? users.reinvite : users.reset}
                </MenuItem>
                {self ? null : (
                  <>
                    <MenuItem onSelect={askRole}>
                      <ShieldCheck aria-hidden />
                      {admin ? users.demote : users.promote}
                    </MenuItem>
                    <MenuSeparator />
                    {user.suspendedAt ? (
                      <MenuItem onSelect={() => change.mutate({ suspended: false })}>
                        <UserRoundCheck aria-hidden />
                        {users.resume}
                      </MenuItem>
                    ) : (
                      <MenuItem danger onSelect={askSuspend}>
                        <UserRoundX aria-hidden />
                        {users.suspend}
                      </MenuItem>
                    )}
                  </>
                )}
              </Menu>
            )}
          />
        )}
      />
      {reset ? <ResetDialog user={user} onLink={onLink} onClose={() => setReset(false)} /> : null}
      {quotas ? <QuotasDialog user={user} onClose={() => setQuotas(false)} /> : null}
    </>
  );
}
