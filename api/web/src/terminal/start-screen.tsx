import { Moon, SquareTerminal } from 'lucide-react';
import { Spinner } from '@/components/ui/spinner';
import { When } from '@/components/when';
import { wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { COMMANDS, type Command } from './api';
import type { Elsewhere } from './use-resume';

type StartScreenProps = {
  /** The instance runs. */
  awake: boolean;
  elsewhere: Elsewhere;
  onOpen: (command: Command | null, terminalId?: string) => void;
};

/** No terminal is open here: what can be opened. */
export function StartScreen({ awake, elsewhere, onOpen }: StartScreenProps) {
  const texts = useTexts();
  const { terminal } = texts;
  if (elsewhere.loading) {
    return (
      <div role="status" className="grid flex-1 place-items-center text-term-muted">
        <Spinner className="size-5" />
        <span className="sr-only">{texts.common.loading}</span>
      </div>
    );
  }
  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      <div className="mx-auto flex max-w-2xl flex-col gap-6 px-5 py-8 sm:py-12">
        <div>
          <h2 className="text-base font-semibold">{terminal.start.title}</h2>
          <p className="mt-1 text-term-muted">{terminal.start.text}</p>
          {awake ? null : (
            <p className="mt-3 flex items-center gap-2">
              <Moon aria-hidden className="size-4 shrink-0 text-term-muted" />
              {terminal.start.asleep}
            </p>
          )}
          <button
            type="button"
            onClick={() => onOpen(null)}
            className="mt-4 inline-flex h-9 items-center gap-2 rounded-lg bg-term-ink px-4 font-medium text-term transition-opacity hover:opacity-90"
          >
            <SquareTerminal aria-hidden className="size-4" />
            {terminal.open}
          </button>
        </div>
        {elsewhere.error ? (
          <p role="alert" className="rounded-lg bg-[#3b1d22] px-3 py-2 text-rose-100">
            {wordsFor(elsewhere.error, texts)}{' '}
            <button type="button" onClick={elsewhere.retry} className="font-medium underline underline-offset-4">
              {texts.common.retry}
            </button>
          </p>
        ) : null}
        {elsewhere.terminals.length > 0 ? (
          <div>
            <h3 className="text-[0.8125rem] font-medium text-term-muted">{terminal.start.elsewhere}</h3>
            <ul className="mt-2 space-y-1.5">
              {elsewhere.terminals.map((one) => (
                <li key={one.id}>
                  <StartButton onClick={() => onOpen(one.command, one.id)}>
                    <span className="font-mono text-[0.8125rem]">{one.command ?? terminal.shell}</span>
                    <span className="text-xs text-term-muted">
                      {terminal.start.since} <When at={one.startedAt} />
                    </span>
                  </StartButton>
                </li>
              ))}
            </ul>
          </div>
        ) : null}
        <div>
          <h3 className="text-[0.8125rem] font-medium text-term-muted">{terminal.commandsLabel}</h3>
          <ul className="mt-2 grid gap-1.5 sm:grid-cols-2">
            {COMMANDS.map((command) => (
              <li key={command}>
                <StartButton onClick={() => onOpen(command)}>
                  <span className="font-mono text-[0.8125rem]">{command}</span>
                  <span className="text-xs text-term-muted">{terminal.commands[command]}</span>
                </StartButton>
              </li>
            ))}
          </ul>
        </div>
      </div>
    </div>
  );
}

function StartButton({ onClick, children }: { onClick: () => void; children: React.ReactNode }) {
  return (
    <button
      type="button"
      onClick={onClick}
      className="flex h-full w-full flex-col items-start gap-0.5 rounded-lg border border-term-line bg-term-bar px-3.5 py-2.5 text-left transition-colors hover:bg-term-raised"
    >
      {children}
    </button>
  );
}
