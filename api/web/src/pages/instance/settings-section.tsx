import { type ReactNode, useState } from 'react';
import { type EditInstance, type Instance, useEdit } from '@/api/instances';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { FieldError } from '@/components/ui/field';
import { Form } from '@/components/ui/form';
import { Switch } from '@/components/ui/switch';
import { fieldWords, isAtFields, wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';

type SectionProps = {
  title: string;
  text?: ReactNode;
  /** Something differs from what there is. */
  changed: boolean;
  /** It takes a new container. */
  restarts?: boolean;
  instance: Instance;
  body: () => EditInstance;
  onSaved?: () => void;
  children: (error: (field: string) => string | undefined) => ReactNode;
};

/** A part of the settings with its own button. */
export function Section({ title, text, changed, restarts, instance, body, onSaved, children }: SectionProps) {
  const texts = useTexts();
  const words = texts.instance.settings;
  const edit = useEdit(instance.id);
  const [now, setNow] = useState(true);
  const send = () => {
    const running = instance.status === 'running';
    edit.mutate(restarts && running && now ? { ...body(), applyNow: true } : body(), {
      onSuccess: ({ job }) => {
        toast.success(job ? words.savedNow : restarts && running ? words.savedLater : words.saved);
        onSaved?.();
      },
    });
  };
  return (
    <Card>
      <Form sending={edit} onSend={send} noValidate>
        <CardHead title={title} text={text} />
        <CardBody className="space-y-4">
          {children((field) => fieldWords(edit.error, field, texts))}
          {edit.error && !isAtFields(edit.error) ? <FieldError>{wordsFor(edit.error, texts)}</FieldError> : null}
        </CardBody>
        <div className="flex flex-wrap items-center justify-between gap-3 rounded-b-xl border-t bg-sunken/60 px-5 py-3">
          {restarts && instance.status === 'running' ? (
            <Switch checked={now} onChange={setNow} label={words.applyNow} text={words.applyNowText} />
          ) : (
            <span />
          )}
          <Button type="submit" size="sm" disabled={!changed} busy={edit.isPending}>
            {texts.common.save}
          </Button>
        </div>
      </Form>
    </Card>
  );
}
