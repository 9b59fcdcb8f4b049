import { useState } from 'react';
import { call, client } from '@/api/client';
import { More } from '@/components/pages';
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
import { usePeople } from '../users/use-people';
import type { Recoverable } from './recoverable';

/** The owner that is on record. */
const AS_BEFORE = '';

/** Restores an instance: to the owner it had, or to somebody else. */
export function RestoreDialog({ item, onClose }: { item: Recoverable; onClose: () => void }) {
  const texts = useTexts();
  const { recovery } = useAdminTexts();
  const [owner, setOwner] = useState(AS_BEFORE);
  const [name, setName] = useState('');
  const people = usePeople();
  const known = item.ownerId && item.ownerEmail;
  const options = (people.data?.pages ?? [])
    .flatMap((page) => page.items)
    .filter(({ id }) => id !== item.ownerId)
    .map(({ id, email }) => ({ value: id, label: email }));
  const first = { value: AS_BEFORE, label: known ? recovery.ownerKnown(item.ownerEmail ?? '') : '—' };
  const shown = item.name ?? item.id;
  const restore = useChange({
    run: () =>
      call(
        client.POST('/api/admin/recoverable-instances/{id}/restore', {
          params: { path: { id: item.id } },
          body: { ...(owner === AS_BEFORE ? {} : { ownerId: owner }), ...(name.trim() ? { name: name.trim() } : {}) },
        }),
      ),
    done: () => recovery.restored(shown),
    failed: recovery.restoreFailed(shown),
    onDone: onClose,
  });
  return (
    <Dialog
      open
      onOpenChange={(open) => open || onClose()}
      title={recovery.restoreTitle(shown)}
      text={recovery.restoreText}
      actions={
        <>
          <Button variant="outline" onClick={onClose}>
            {texts.common.cancel}
          </Button>
          <Button type="submit" form="restore" busy={restore.isPending} disabled={!known && owner === AS_BEFORE}>
            {recovery.restore}
          </Button>
        </>
      }
    >
      <Form id="restore" className="space-y-4" sending={restore} onSend={restore.mutate}>
        <Field label={recovery.owner} help={recovery.ownerHelp} error={fieldWords(restore.error, 'ownerId', texts)}>
          {(control) => <Select control={control} value={owner} onChange={setOwner} options={[first, ...options]} />}
        </Field>
        <More query={people} />
        <Field label={recovery.name} help={recovery.nameHelp} error={fieldWords(restore.error, 'name', texts)}>
          {(control) => (
            <Input
              {...control}
              autoComplete="off"
              maxLength={64}
              placeholder={item.name ?? item.id}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
      </Form>
    </Dialog>
  );
}
