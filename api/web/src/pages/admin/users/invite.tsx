import { UserRoundPlus } from 'lucide-react';
import { useState } from 'react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { Field } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Input } from '@/components/ui/input';
import { Select } from '@/components/ui/select';
import { fieldWords } from '@/lib/errors';
import { useTexts } from '@/texts';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';
import type { ShownLink } from './link-dialog';

/** Lets somebody in who has no account yet. */
export function InviteDialog({ onLink }: { onLink: (link: ShownLink) => void }) {
  const texts = useTexts();
  const { users } = useAdminTexts();
  const [open, setOpen] = useState(false);
  const [email, setEmail] = useState('');
  const [role, setRole] = useState<Schemas['Person']['role']>('user');
  const invite = useChange({
    run: () => call(client.POST('/api/admin/users', { body: { email: email.trim(), role } })),
    failed: users.inviteFailed,
    onDone: ({ invitation: { token, expiresAt } }) => {
      setOpen(false);
      setEmail('');
      setRole('user');
      onLink({ kind: 'invitation', email: email.trim(), token, expiresAt });
    },
  });
  return (
    <>
      <Button onClick={() => setOpen(true)}>
        <UserRoundPlus aria-hidden />
        {users.invite}
      </Button>
      <Dialog
        open={open}
        onOpenChange={setOpen}
        title={users.inviteTitle}
        text={users.inviteText}
        actions={
          <>
            <Button variant="outline" onClick={() => setOpen(false)}>
              {texts.common.cancel}
            </Button>
            <Button type="submit" form="invite" busy={invite.isPending} disabled={!email.includes('@')}>
              {users.inviteYes}
            </Button>
          </>
        }
      >
        <Form id="invite" className="space-y-4" sending={invite} onSend={invite.mutate}>
          <Field label={users.email} error={fieldWords(invite.error, 'email', texts, { taken: users.emailTaken })}>
            {(control) => (
              <Input
                {...control}
                type="email"
                autoComplete="off"
                required
                maxLength={254}
                value={email}
                onChange={(event) => setEmail(event.target.value)}
              />
            )}
          </Field>
          <Field label={users.role} help={users.roleHelp[role]}>
            {(control) => (
              <Select
                control={control}
                value={role}
                onChange={setRole}
                options={[
                  { value: 'user' as const, label: users.roles.user },
                  { value: 'admin' as const, label: users.roles.admin },
                ]}
              />
            )}
          </Field>
        </Form>
      </Dialog>
    </>
  );
}
