import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDownToLine } from 'lucide-react';
import { type UIEvent, useEffect, useRef } from 'react';
import type { LogLine } from '@/api/contract';
import { Button } from '@/components/ui/button';
import { cn } from '@/lib/cn';
import { useFormat } from '@/lib/format';
import { pieces } from '@/lib/marks';
import { useTexts } from '@/texts';

/** Height of a line that needs no more than one, in pixels. */
const LINE = 20;

/** Keys that scroll towards the beginning. */
const UP = new Set(['ArrowUp', 'PageUp', 'Home']);

type LogLinesProps = {
  lines: readonly LogLine[];
  /** What is marked in them; empty: nothing. */
  sought: string;
  /** Words where there are no lines. */
  empty: string;
  /** The last line stays in view. */
  following: boolean;
  onFollow: (following: boolean) => void;
};

/** Lines of a log, of which only those that are seen are in the page. */
export function LogLines({ lines, sought, empty, following, onFollow }: LogLinesProps) {
  const { logs: words } = useTexts().instance;
  const box = useRef<HTMLElement>(null);
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => LINE,
    overscan: 20,
  });
  const last = lines.length - 1;
  const top = useRef(0);
  /** Somebody scrolls, and not this page after the last line. */
  const byHand = useRef(false);
  useEffect(() => {
    if (!following || last < 0) return;
    byHand.current = false;
    rows.scrollToIndex(last, { align: 'end' });
  }, [following, last, rows]);
  const hand = () => {
    byHand.current = true;
  };
  /** Whoever begins to scroll up is let go at once: the next line would end what scrolls smoothly. */
  const upwards = (element: HTMLElement) => {
    if (element.scrollTop > 0) onFollow(false);
  };
  const scrolled = ({ currentTarget: { scrollHeight, scrollTop, clientHeight } }: UIEvent) => {
    const atEnd = scrollHeight - scrollTop - clientHeight < LINE * 2;
    const up = scrollTop < top.current;
    top.current = scrollTop;
    // Where the page has scrolled to the end by itself, it may have been told since to stay.
    if (up && (byHand.current || !atEnd)) onFollow(false);
    else if (!up && atEnd && byHand.current) onFollow(true);
  };
  return (
    <div className="relative">
      <section
        ref={box}
        aria-label={words.label}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard
        tabIndex={0}
        onWheel={(event) => {
          hand();
          if (event.deltaY < 0) upwards(event.currentTarget);
        }}
        onKeyDown={(event) => {
          hand();
          if (UP.has(event.key)) upwards(event.currentTarget);
        }}
        onPointerDown={hand}
        onTouchMove={hand}
        onScroll={scrolled}
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
                  className="absolute inset-x-0 top-0"
                  style={{ transform: `translateY(${row.start}px)` }}
                >
                  <Line line={line} sought={sought} />
                </div>
              ) : null;
            })}
          </div>
        ) : (
          <p className="px-4 py-10 text-center font-sans text-sm text-muted">{empty}</p>
        )}
      </section>
      {following || !lines.length ? null : (
        <Button size="sm" className="absolute right-4 bottom-4 shadow-float" onClick={() => onFollow(true)}>
          <ArrowDownToLine aria-hidden />
          {words.jump}
        </Button>
      )}
    </div>
  );
}

function Line({ line, sought }: { line: LogLine; sought: string }) {
  const format = useFormat();
  return (
    <div className="flex gap-3 px-4 leading-5 hover:bg-ink/5">
      <time dateTime={line.at} className="shrink-0 text-muted select-none">
        {format.clock(line.at)}
      </time>
      <span className={cn('min-w-0 break-words whitespace-pre-wrap', line.stream === 'stderr' && 'text-warn')}>
        {pieces(line.text, sought).map((piece, index) =>
          piece.hit ? (
            // biome-ignore lint/suspicious/noArrayIndexKey: pieces of a line never change places
            <mark key={index} className="rounded-xs bg-mark text-ink">
              {piece.text}
            </mark>
          ) : (
            piece.text
          ),
        )}
      </span>
    </div>
  );
}
