import { type ReactNode, useState } from 'react';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { useTexts } from '@/texts';

type ConfirmProps = {
  /** The button that asks. */
  trigger: (ask: () => void) => ReactNode;
  title: string;
  text: ReactNode;
  yes: string;
  danger?: boolean;
  onYes: () => void;
};

/** A question before something that one would not like to have done by mistake. */
export function Confirm({ trigger, title, text, yes, danger, onYes }: ConfirmProps) {
  const { common } = useTexts();
  const [open, setOpen] = useState(false);
  return (
    <>
      {trigger(() => setOpen(true))}
      <Dialog
        open={open}
        onOpenChange={setOpen}
        title={title}
        actions={
          <>
            <Button variant="outline" onClick={() => setOpen(false)}>
              {common.cancel}
            </Button>
            <Button
              variant={danger ? 'danger' : 'primary'}
              onClick={() => {
                setOpen(false);
                onYes();
              }}
            >
              {yes}
            </Button>
          </>
        }
      >
        <p className="text-muted">{text}</p>
      </Dialog>
    </>
  );
}
