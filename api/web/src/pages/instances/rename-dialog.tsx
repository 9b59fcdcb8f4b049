import { useState } from 'react';
import { isProblem } from '@/api/client';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { Field } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Input } from '@/components/ui/input';
import { fieldWords, wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { useDeletedTexts } from './deleted-texts';
import type { Deleted, useRestore } from './use-restore';

type RenameDialogProps = {
  instance: Deleted;
  restore: ReturnType<typeof useRestore>['restore'];
  onClose: () => void;
};

/** Asks for another name for an instance whose own name is taken. */
export function RenameDialog({ instance, restore, onClose }: RenameDialogProps) {
  const texts = useTexts();
  const words = useDeletedTexts();
  const [name, setName] = useState(`${instance.name} (2)`);
  const taken = isProblem(restore.error, 'name_taken') ? wordsFor(restore.error, texts) : undefined;
  return (
    <Dialog
      open
      onOpenChange={(open) => open || onClose()}
      title={words.rename.title(instance.name)}
      text={words.rename.text}
      actions={
        <>
          <Button variant="outline" onClick={onClose}>
            {texts.common.cancel}
          </Button>
          <Button type="submit" form="rename" busy={restore.isPending} disabled={!name.trim()}>
            {words.restore}
          </Button>
        </>
      }
    >
      <Form id="rename" sending={restore} onSend={() => restore.mutate(name.trim())}>
        <Field label={words.rename.label} error={fieldWords(restore.error, 'name', texts) ?? taken}>
          {(control) => (
            <Input
              {...control}
              autoFocus
              autoComplete="off"
              required
              maxLength={64}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
      </Form>
    </Dialog>
  );
}
