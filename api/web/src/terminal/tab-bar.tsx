import { X } from 'lucide-react';
import { useSyncExternalStore } from 'react';
import { cn } from '@/lib/cn';
import { useTexts } from '@/texts';
import type { ConnectionState } from './connection';
import type { Tab } from './workspace';

type TabBarProps = {
  tabs: readonly Tab[];
  active: number | null;
  onSelect: (key: number) => void;
  onClose: (tab: Tab) => void;
};

/** The terminals that are open, each with how it is. */
export function TabBar({ tabs, active, onSelect, onClose }: TabBarProps) {
  const { terminal } = useTexts();
  return (
    <ul aria-label={terminal.tabs} className="flex min-w-0 gap-1 overflow-x-auto">
      {tabs.map((tab) => (
        <TabItem
          key={tab.key}
          tab={tab}
          current={tab.key === active}
          onSelect={() => onSelect(tab.key)}
          onClose={() => onClose(tab)}
        />
      ))}
    </ul>
  );
}

type TabItemProps = { tab: Tab; current: boolean; onSelect: () => void; onClose: () => void };

function TabItem({ tab, current, onSelect, onClose }: TabItemProps) {
  const { terminal } = useTexts();
  const { state, title } = useSyncExternalStore(tab.session.subscribe, tab.session.view);
  const name = tab.command ?? terminal.name(tab.number);
  return (
    <li
      className={cn(
        'flex h-8 max-w-60 shrink-0 items-center rounded-md text-[0.8125rem]',
        current ? 'bg-term-raised text-term-ink' : 'text-term-muted hover:bg-term-raised/60',
      )}
    >
      <button
        type="button"
        aria-current={current ? 'true' : undefined}
        title={title || name}
        onClick={onSelect}
        className="flex h-full min-w-0 items-center gap-2 rounded-md pr-1 pl-2.5"
      >
        <span aria-hidden className={cn('size-1.5 shrink-0 rounded-full', dot(state))} />
        <span className="truncate">{name}</span>
        <span className="sr-only">{terminal.states[state.is]}</span>
      </button>
      <button
        type="button"
        aria-label={terminal.closeTab(name)}
        onClick={onClose}
        className="mr-1 rounded p-1 text-term-muted hover:bg-white/10 hover:text-term-ink"
      >
        <X aria-hidden className="size-3.5" />
      </button>
    </li>
  );
}

function dot(state: ConnectionState): string {
  if (state.is === 'open') return 'bg-emerald-400';
  if (state.is !== 'ended') return 'animate-pulse bg-amber-300';
  return state.exitCode === 0 || state.reason === 'elsewhere' ? 'bg-zinc-400' : 'bg-rose-400';
}
