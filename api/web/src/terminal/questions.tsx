import { useSyncExternalStore } from 'react';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { useTexts } from '@/texts';
import type { Session } from './session';
import { useHandOver } from './use-hand-over';
import type { Tab } from './workspace';

/** A paste that the shell would run at once is shown before. */
export function PasteQuestion({ session }: { session: Session }) {
  const { common, terminal } = useTexts();
  const { question } = useSyncExternalStore(session.subscribe, session.view);
  return (
    <Dialog
      open={question !== null}
      onOpenChange={(open) => open || session.answer(false)}
      onClosed={() => {
        session.focus();
        return true;
      }}
      title={terminal.pasteTitle(question?.lines ?? 0)}
      text={terminal.pasteText}
      wide
      actions={
        <>
          <Button variant="outline" onClick={() => session.answer(false)}>
            {common.cancel}
          </Button>
          <Button onClick={() => session.answer(true)}>{terminal.pasteYes}</Button>
        </>
      }
    >
      <pre
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and has to by keyboard
        tabIndex={0}
        className="max-h-60 overflow-auto rounded-lg bg-sunken p-3 font-mono text-xs whitespace-pre-wrap break-all"
      >
        {question?.text.slice(0, 5000)}
      </pre>
    </Dialog>
  );
}

type EndQuestionProps = {
  tab: Tab | null;
  onCancel: () => void;
  onEnd: (tab: Tab) => void;
  /** Gives the focus to the terminal that is shown next. */
  onEnded: () => boolean;
};

/** Whether a terminal, with what runs in it, is to be ended. */
export function EndQuestion({ tab, onCancel, onEnd, onEnded }: EndQuestionProps) {
  const { common, terminal } = useTexts();
  const { choose, closed } = useHandOver(onEnded);
  const end = (one: Tab) => {
    choose();
    onEnd(one);
  };
  return (
    <Dialog
      open={tab !== null}
      onOpenChange={(open) => open || onCancel()}
      onClosed={closed}
      title={terminal.endTitle(tab ? (tab.command ?? terminal.name(tab.number)) : '')}
      text={terminal.endText}
      actions={
        <>
          <Button variant="outline" onClick={onCancel}>
            {common.cancel}
          </Button>
          <Button variant="danger" onClick={() => tab && end(tab)}>
            {terminal.end}
          </Button>
        </>
      }
    />
  );
}
