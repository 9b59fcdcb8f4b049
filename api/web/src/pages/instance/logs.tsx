import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDownToLine, Download, Search } from 'lucide-react';
import { useDeferredValue, useEffect, useMemo, useRef, useState } from 'react';
import type { LogLine } from '@/api/contract';
import { useInstance } from '@/api/instances';
import { follow } from '@/api/stream';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { Input } from '@/components/ui/input';
import { plain } from '@/lib/ansi';
import { cn } from '@/lib/cn';
import { useFormat } from '@/lib/format';
import { Ring } from '@/lib/ring';
import { useTexts } from '@/texts';
import { useInstanceId } from './use-id';

/** Lines that are asked for at first, and kept at most. */
const TAIL = 500;
const MOST = 20_000;
/** Lines that come within this time are shown together, in milliseconds. */
const TOGETHER_MS = 100;

type State = 'connecting' | 'live' | 'lost' | 'refused';

/** What the gateway prints. */
export function Logs() {
  const id = useInstanceId();
  const { logs: words } = useTexts().instance;
  const format = useFormat();
  const running = useInstance(id).data?.status === 'running';
  const { ring, state } = useLog(id, running);
  const [search, setSearch] = useState('');
  const sought = useDeferredValue(search.trim().toLowerCase());
  const lines = useMemo(
    () => (sought ? ring.items.filter((line) => line.text.toLowerCase().includes(sought)) : ring.items),
    [ring, sought],
  );
  return (
    <Card className="overflow-hidden">
      <div className="flex flex-wrap items-center gap-2 border-b px-3 py-2.5">
        <div className="relative min-w-40 flex-1 sm:max-w-xs">
          <Search aria-hidden className="pointer-events-none absolute top-2.5 left-3 size-4 text-muted" />
          <Input
            type="search"
            aria-label={words.search}
            placeholder={words.search}
            className="pl-9"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
        </div>
        <span className="text-[0.8125rem] text-muted">{words.lines(format.number(lines.length))}</span>
        <span className="ml-auto flex items-center gap-2" role="status">
          {state === 'live' ? <Badge tone="good">{words.live}</Badge> : null}
          {state === 'lost' ? <Badge tone="warn">{words.reconnecting}</Badge> : null}
          {state === 'refused' ? <Badge>{running ? words.unavailable : words.ended}</Badge> : null}
        </span>
        <Button asChild variant="outline" size="sm">
          <a href={`/api/instances/${id}/logs?tail=10000`} download={`${id}.log`}>
            <Download aria-hidden />
            {words.download}
          </a>
        </Button>
      </div>
      <Lines lines={lines} empty={sought ? words.noMatch : words.empty} />
    </Card>
  );
}

/** The log as far as it came, and whether more comes. */
function useLog(id: string, running: boolean): { ring: Ring<LogLine>; state: State } {
  const [ring, setRing] = useState(() => new Ring<LogLine>());
  const [state, setState] = useState<State>('connecting');
  // biome-ignore lint/correctness/useExhaustiveDependencies: a gateway that has started anew is followed anew
  useEffect(() => {
    const leave = new AbortController();
    let waiting: LogLine[] = [];
    const show = () => {
      if (!waiting.length) return;
      const lines = waiting;
      waiting = [];
      setRing((before) => before.push(lines, MOST));
    };
    const timer = setInterval(show, TOGETHER_MS);
    setRing(new Ring());
    setState('connecting');
    follow(`/api/instances/${id}/logs?follow=true&tail=${TAIL}`, {
      signal: leave.signal,
      onState: (open) => setState(open ? 'live' : 'lost'),
      onEvent: (event) => {
        if (event.name === 'end') return true;
        if (event.name !== 'line') return false;
        const line = JSON.parse(event.data) as LogLine;
        waiting.push({ ...line, text: plain(line.text) });
        return false;
      },
    }).then(
      () => {
        show();
        if (!leave.signal.aborted) setState('refused');
      },
      () => setState('refused'),
    );
    return () => {
      leave.abort();
      clearInterval(timer);
    };
  }, [id, running]);
  return { ring, state };
}

const LINE = 20;

function Lines({ lines, empty }: { lines: readonly LogLine[]; empty: string }) {
  const { logs: words } = useTexts().instance;
  const format = useFormat();
  const box = useRef<HTMLElement>(null);
  const [following, setFollowing] = useState(true);
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => LINE,
    overscan: 20,
  });
  const last = lines.length - 1;
  useEffect(() => {
    if (following && last >= 0) rows.scrollToIndex(last, { align: 'end' });
  }, [following, last, rows]);
  return (
    <div className="relative">
      <section
        ref={box}
        aria-label={words.label}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard
        tabIndex={0}
        onScroll={(event) => {
          const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
          setFollowing(scrollHeight - scrollTop - clientHeight < LINE * 2);
        }}
        className="h-[60dvh] min-h-72 overflow-auto bg-sunken py-2 font-mono text-xs outline-offset-[-2px]"
      >
        {lines.length ? (
          <div className="relative min-w-full" style={{ height: rows.getTotalSize() }}>
            {rows.getVirtualItems().map((row) => {
              const line = lines[row.index];
              return line ? (
                <div
                  key={row.key}
                  ref={rows.measureElement}
                  data-index={row.index}
                  className="absolute inset-x-0 top-0 flex gap-3 px-4 leading-5 hover:bg-ink/5"
                  style={{ transform: `translateY(${row.start}px)` }}
                >
                  <time dateTime={line.at} className="shrink-0 text-muted select-none">
                    {format.clock(line.at)}
                  </time>
                  <span
                    className={cn('min-w-0 break-words whitespace-pre-wrap', line.stream === 'stderr' && 'text-warn')}
                  >
                    {line.text}
                  </span>
                </div>
              ) : null;
            })}
          </div>
        ) : (
          <p className="px-4 py-10 text-center font-sans text-sm text-muted">{empty}</p>
        )}
      </section>
      {following || !lines.length ? null : (
        <Button
          size="sm"
          className="absolute right-4 bottom-4 shadow-float"
          onClick={() => rows.scrollToIndex(last, { align: 'end' })}
        >
          <ArrowDownToLine aria-hidden />
          {words.jump}
        </Button>
      )}
    </div>
  );
}
