import { X } from 'lucide-react';
import { Dialog as Radix } from 'radix-ui';
import { type ReactNode, useState } from 'react';
import { cn } from '@/lib/cn';
import { useTexts } from '@/texts';
import { Layer } from './layer';
import { useReturnFocus } from './return-focus';

type DialogProps = {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: ReactNode;
  text?: ReactNode;
  /** Buttons at the bottom. */
  actions?: ReactNode;
  wide?: boolean;
  /** What it shows is not to be had again: only its buttons close it. */
  firm?: boolean;
  /** Takes the focus when the dialog has closed. False, or without it: the focus goes back to where it was opened from. */
  onClosed?: () => boolean;
  children?: ReactNode;
};

const stay = (event: Event) => event.preventDefault();

/** A question or a task in front of the page. Escape and a click beside it close it, unless it is firm. */
export function Dialog({ open, onOpenChange, title, text, actions, wide, firm, onClosed, children }: DialogProps) {
  const texts = useTexts();
  const [content, setContent] = useState<HTMLElement | null>(null);
  const returnFocus = useReturnFocus(open, content);
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-black/45 backdrop-blur-[1px]" />
        <Radix.Content
          ref={setContent}
          {...(firm ? { onEscapeKeyDown: stay, onInteractOutside: stay } : {})}
          onCloseAutoFocus={(event) => {
            if (onClosed?.()) event.preventDefault();
            else returnFocus(event);
          }}
          {...(text ? {} : { 'aria-describedby': undefined })}
          className={cn(
            'fixed inset-x-3 bottom-3 z-50 flex max-h-[calc(100dvh-1.5rem)] animate-enter flex-col rounded-2xl border bg-raised shadow-float sm:inset-x-auto sm:top-[50%] sm:bottom-auto sm:left-[50%] sm:w-full sm:-translate-x-1/2 sm:-translate-y-1/2',
            wide ? 'sm:max-w-2xl' : 'sm:max-w-md',
          )}
        >
          <div className="flex items-start gap-4 px-5 pt-5">
            <div className="min-w-0 flex-1 break-words">
              <Radix.Title className="text-base font-semibold tracking-tight">{title}</Radix.Title>
              {text ? <Radix.Description className="mt-1 text-muted">{text}</Radix.Description> : null}
            </div>
            <Radix.Close
              aria-label={texts.common.close}
              className="-mt-1 -mr-1 rounded-md p-1.5 text-muted hover:bg-ink/6 hover:text-ink"
            >
              <X aria-hidden className="size-4" />
            </Radix.Close>
          </div>
          <div className="min-h-0 flex-1 overflow-y-auto px-5 py-4">
            <Layer value={content}>{children}</Layer>
          </div>
          {actions ? (
            <div className="flex flex-wrap justify-end gap-2 rounded-b-2xl border-t bg-sunken/60 px-5 py-3">
              {actions}
            </div>
          ) : null}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
