import { ArrowRight } from 'lucide-react';
import { useState } from 'react';
import { type Instance, useUpdate } from '@/api/instances';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { Switch } from '@/components/ui/switch';
import { wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';

type DialogProps = { instance: Instance; open: boolean; onClose: () => void };

/** What an update changes, and what it leaves, before it is begun. */
export function UpdateDialog({ instance, open, onClose }: DialogProps) {
  const texts = useTexts();
  const { update: words, accepted, failed, versions } = texts.instance;
  const [look, setLook] = useState(true);
  const update = useUpdate(instance.id);
  const submit = () =>
    update.mutate(
      // Without a look for something newer it is made anew with what there is, also if that is what it has.
      look ? { rebuild: true, force: false } : { rebuild: false, force: !instance.updateAvailable },
      {
        onSuccess: () => {
          toast.success(accepted.update(instance.name));
          onClose();
        },
        onError: (error) => toast.error(failed.update(instance.name), wordsFor(error, texts)),
      },
    );
  return (
    <Dialog
      open={open}
      onOpenChange={onClose}
      title={words.title(instance.name)}
      text={words.text}
      actions={
        <>
          <Button variant="ghost" onClick={onClose}>
            {texts.common.cancel}
          </Button>
          <Button busy={update.isPending} onClick={submit}>
            {words.submit}
          </Button>
        </>
      }
    >
      <div className="space-y-5">
        <dl className="flex items-center gap-4 rounded-xl bg-sunken px-4 py-3">
          <Version label={words.from} version={instance.openclawVersion ?? versions.none} />
          <ArrowRight aria-hidden className="size-5 shrink-0 text-muted" />
          <Version label={words.to} version={look ? words.newest : (instance.latestVersion ?? words.newest)} strong />
        </dl>
        {look && !instance.updateAvailable ? <p className="text-muted">{words.current}</p> : null}
        <Switch checked={look} onChange={setLook} label={words.look} text={words.lookText} />
        <p className="text-[0.8125rem] text-muted">{words.way}</p>
      </div>
    </Dialog>
  );
}

function Version({ label, version, strong }: { label: string; version: string; strong?: boolean }) {
  return (
    <div className="min-w-0 flex-1">
      <dt className="text-xs text-muted">{label}</dt>
      <dd className={strong ? 'truncate font-semibold' : 'truncate font-medium'}>{version}</dd>
    </div>
  );
}
