import { useSyncExternalStore } from 'react';
import { cn } from '@/lib/cn';
import type { Texts } from '@/texts';
import { useTexts } from '@/texts';
import type { Command } from './api';
import type { ConnectionState } from './connection';
import { mayComeBack } from './protocol';
import type { Tab } from './workspace';

type StatusBarProps = {
  tab: Tab;
  /** The instance runs. */
  awake: boolean;
  onAgain: (command: Command | null) => void;
  onClose: () => void;
};

/** How the terminal is, and what can be done about it. What was printed stays to be read. */
export function StatusBar({ tab, awake, onAgain, onClose }: StatusBarProps) {
  const { terminal, common } = useTexts();
  const { state, warning } = useSyncExternalStore(tab.session.subscribe, tab.session.view);
  const ended = state.is === 'ended';
  const is = state.is === 'opening' && !awake ? terminal.waking : terminal.states[state.is];
  const words = ended ? endWords(state, terminal) : warning ? warning.message : is;
  const quiet = state.is === 'open' && !warning;
  return (
    <div
      className={cn(
        'flex min-h-9 flex-wrap items-center gap-x-3 gap-y-1 border-t border-term-line px-3 py-1 text-[0.8125rem]',
        tone(state, warning !== null),
      )}
    >
      <p role="status" className="min-w-40 flex-1">
        {words}
      </p>
      {quiet ? <p className="text-xs text-term-muted pointer-coarse:hidden">{terminal.leaveHint}</p> : null}
      {state.is === 'reconnecting' || (ended && mayComeBack(state.reason)) ? (
        <BarButton onClick={() => tab.session.reconnect()}>
          {ended && state.reason === 'elsewhere'
            ? terminal.takeBack
            : ended && state.reason === 'asleep'
              ? common.retry
              : terminal.reconnect}
        </BarButton>
      ) : null}
      {ended && tab.command !== null ? (
        <BarButton onClick={() => onAgain(tab.command)}>{terminal.runAgain}</BarButton>
      ) : null}
      {ended ? <BarButton onClick={() => onAgain(null)}>{terminal.openShell}</BarButton> : null}
      {ended ? <BarButton onClick={onClose}>{terminal.close}</BarButton> : null}
    </div>
  );
}

function BarButton({ onClick, children }: { onClick: () => void; children: string }) {
  return (
    <button
      type="button"
      onClick={onClick}
      className="rounded-md bg-white/12 px-2.5 py-1 text-xs font-medium text-term-ink transition-colors hover:bg-white/20"
    >
      {children}
    </button>
  );
}

type Ended = Extract<ConnectionState, { is: 'ended' }>;

/** How it ended, in words: the server's where it has better ones. */
function endWords({ reason, exitCode, message }: Ended, words: Texts['terminal']): string {
  if (reason === 'exited') return exitCode === null ? words.exitedUnknown : words.exited(exitCode);
  if (message !== '' && (reason === 'refused' || reason === 'stopped' || reason === 'idle' || reason === 'gone')) {
    return message;
  }
  return words.ends[reason];
}

function tone(state: ConnectionState, warned: boolean): string {
  const elsewhere = state.is === 'ended' && state.reason === 'elsewhere';
  if (state.is === 'ended' && !elsewhere) return state.exitCode === 0 ? 'bg-term-bar' : 'bg-[#3b1d22] text-rose-100';
  if (state.is === 'reconnecting' || warned || elsewhere) return 'bg-[#3a2f14] text-amber-100';
  return 'bg-term-bar text-term-muted';
}
