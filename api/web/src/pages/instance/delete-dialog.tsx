import { type FormEvent, useId, useState } from 'react';
import { type Instance, useDelete } from '@/api/instances';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { Field } from '@/components/ui/field';
import { Input } from '@/components/ui/input';
import { wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';

type DialogProps = { instance: Instance; open: boolean; onClose: () => void };

/** Asks for the instance's name before it is gone for good. */
export function DeleteDialog({ instance, open, onClose }: DialogProps) {
  const texts = useTexts();
  const { deletion, accepted, failed } = texts.instance;
  const [typed, setTyped] = useState('');
  const form = useId();
  const remove = useDelete(instance.id);
  const right = typed.trim() === instance.name;
  const close = () => {
    setTyped('');
    onClose();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!right) return;
    remove.mutate(undefined, {
      onSuccess: () => {
        toast.success(accepted.delete(instance.name));
        close();
      },
      onError: (error) => toast.error(failed.delete(instance.name), wordsFor(error, texts)),
    });
  };
  return (
    <Dialog
      open={open}
      onOpenChange={close}
      title={deletion.title(instance.name)}
      text={deletion.text}
      actions={
        <>
          <Button variant="ghost" onClick={close}>
            {texts.common.cancel}
          </Button>
          <Button type="submit" form={form} variant="danger" disabled={!right} busy={remove.isPending}>
            {deletion.submit}
          </Button>
        </>
      }
    >
      <form id={form} onSubmit={submit}>
        <Field label={deletion.confirm(instance.name)}>
          {(control) => (
            <Input
              {...control}
              autoFocus
              autoComplete="off"
              spellCheck={false}
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
          )}
        </Field>
      </form>
    </Dialog>
  );
}
