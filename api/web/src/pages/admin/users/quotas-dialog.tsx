import { useState } from 'react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { Field } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Input } from '@/components/ui/input';
import { fieldWords } from '@/lib/errors';
import { useTexts } from '@/texts';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';
import { asTexts, changedQuotas, QUOTAS, readQuota } from './quotas';

/** How much a person may have. */
export function QuotasDialog({ user, onClose }: { user: Schemas['Person']; onClose: () => void }) {
  const texts = useTexts();
  const { users } = useAdminTexts();
  const [entered, setEntered] = useState(() => asTexts(user.quotas));
  const changed = changedQuotas(user.quotas, entered);
  const save = useChange({
    run: (quotas: Schemas['Quotas']) =>
      call(client.PATCH('/api/admin/users/{id}', { params: { path: { id: user.id } }, body: { quotas } })),
    done: () => users.quotasSaved(user.email),
    failed: users.changeFailed(user.email),
    onDone: onClose,
  });
  return (
    <Dialog
      open
      onOpenChange={(open) => open || onClose()}
      title={users.quotasTitle(user.email)}
      text={users.quotasText}
      actions={
        <>
          <Button variant="outline" onClick={onClose}>
            {texts.common.cancel}
          </Button>
          <Button type="submit" form="quotas" busy={save.isPending} disabled={!changed}>
            {texts.common.save}
          </Button>
        </>
      }
    >
      <Form
        id="quotas"
        className="grid gap-4 sm:grid-cols-2"
        sending={save}
        onSend={() => {
          if (changed) save.mutate(changed);
        }}
      >
        {QUOTAS.map((name) => (
          <Field
            key={name}
            label={users.quotaNames[name]}
            error={
              readQuota(entered[name]) === undefined
                ? users.notANumber
                : fieldWords(save.error, `quotas.${name}`, texts)
            }
          >
            {(control) => (
              <Input
                {...control}
                inputMode="numeric"
                placeholder={users.asInstalled}
                value={entered[name]}
                onChange={(event) => setEntered({ ...entered, [name]: event.target.value })}
              />
            )}
          </Field>
        ))}
      </Form>
    </Dialog>
  );
}
