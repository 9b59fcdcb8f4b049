import { useState } from 'react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { Switch } from '@/components/ui/switch';
import { useTexts } from '@/texts';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';
import type { ShownLink } from './link-dialog';

type ResetDialogProps = { user: Schemas['Person']; onLink: (link: ShownLink) => void; onClose: () => void };

/** Whether a person has been invited and has not come yet. */
export function isInvited(user: Schemas['Person']): boolean {
  return Boolean(user.invitedUntil) && !user.lastSeenAt;
}

/** Takes a person's password away, and gives a link with which they set another. */
export function ResetDialog({ user, onLink, onClose }: ResetDialogProps) {
  const { common } = useTexts();
  const { users } = useAdminTexts();
  const invited = isInvited(user);
  const [removeTotp, setRemoveTotp] = useState(false);
  const reset = useChange({
    run: () =>
      call(
        client.POST('/api/admin/users/{id}/reset-password', {
          params: { path: { id: user.id } },
          body: { removeTotp },
        }),
      ),
    failed: users.resetFailed(user.email),
    onDone: ({ token, expiresAt }) => {
      onClose();
      onLink({ kind: invited ? 'invitation' : 'reset', email: user.email, token, expiresAt });
    },
  });
  return (
    <Dialog
      open
      onOpenChange={(open) => open || onClose()}
      title={invited ? users.reinviteTitle(user.email) : users.resetTitle(user.email)}
      text={invited ? users.reinviteText : users.resetText}
      actions={
        <>
          <Button variant="outline" onClick={onClose}>
            {common.cancel}
          </Button>
          <Button variant={invited ? 'primary' : 'danger'} busy={reset.isPending} onClick={() => reset.mutate()}>
            {invited ? users.inviteYes : users.reset}
          </Button>
        </>
      }
    >
      {user.totpConfirmedAt ? (
        <Switch checked={removeTotp} onChange={setRemoveTotp} label={users.removeTotp} text={users.removeTotpText} />
      ) : null}
    </Dialog>
  );
}
