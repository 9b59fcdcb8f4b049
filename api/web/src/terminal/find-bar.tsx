import { ArrowDown, ArrowUp, X } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { useTexts } from '@/texts';
import type { Session } from './session';
import { ToolButton } from './tools';

/**
 * Looks for a text in what was printed. It lies over the terminal: one that changes its size forgets what is selected, and so what
 * was found.
 */
export function FindBar({ session, onClose }: { session: Session; onClose: () => void }) {
  const { terminal } = useTexts();
  const [text, setText] = useState('');
  const [found, setFound] = useState(true);
  const [matches, setMatches] = useState({ which: -1, count: 0 });
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    input.current?.focus();
    const deafen = session.onMatches((which, count) => setMatches({ which, count }));
    return () => {
      deafen();
      session.stopFinding();
    };
  }, [session]);
  const find = (wanted: string, backwards: boolean) => setFound(wanted === '' || session.find(wanted, backwards));
  return (
    <search className="absolute inset-x-2 top-2 z-10 flex items-center gap-1 rounded-lg border border-term-line bg-term-bar p-1 shadow-lg sm:left-auto sm:w-96">
      <input
        ref={input}
        type="search"
        aria-label={terminal.find}
        placeholder={terminal.find}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          find(event.target.value, true);
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter') find(text, !event.shiftKey);
          else if (event.key === 'Escape') onClose();
          else return;
          event.preventDefault();
        }}
        className="h-8 min-w-0 flex-1 rounded-md bg-term px-2.5 text-[0.8125rem] text-term-ink placeholder:text-term-muted"
      />
      <span role="status" className="px-2 text-xs whitespace-nowrap text-term-muted">
        {found ? text && matches.which >= 0 && terminal.match(matches.which + 1, matches.count) : terminal.notFound}
      </span>
      <ToolButton label={terminal.findPrevious} onClick={() => find(text, true)}>
        <ArrowUp aria-hidden />
      </ToolButton>
      <ToolButton label={terminal.findNext} onClick={() => find(text, false)}>
        <ArrowDown aria-hidden />
      </ToolButton>
      <ToolButton label={terminal.findClose} onClick={onClose}>
        <X aria-hidden />
      </ToolButton>
    </search>
  );
}
