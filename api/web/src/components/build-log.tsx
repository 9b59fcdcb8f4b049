import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { follow } from '@/api/stream';
import { cn } from '@/lib/cn';
import { wordsFor } from '@/lib/errors';
import { EMPTY, type LogPart, withPart } from '@/lib/log-text';
import { useTexts } from '@/texts';

/** Whoever has scrolled up so far is not pulled to the end again. */
const NEAR_PX = 40;

type BuildLogProps = {
  /** Address of its stream. */
  from: string;
  onEnd?: () => void;
};

/** What a build prints, as it prints it. */
export function BuildLog({ from, onEnd }: BuildLogProps) {
  const texts = useTexts();
  const words = texts.jobs.buildLog;
  const ended = useRef(onEnd);
  ended.current = onEnd;
  const [log, setLog] = useState(EMPTY);
  const [error, setError] = useState<unknown>(null);
  const [loading, setLoading] = useState(true);
  const box = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);

  useEffect(() => {
    const stop = new AbortController();
    setLog(EMPTY);
    setError(null);
    follow(from, {
      signal: stop.signal,
      onState: () => setLoading(false),
      onEvent: ({ name, data }) => {
        if (name === 'end') {
          ended.current?.();
          return true;
        }
        const part = JSON.parse(data) as LogPart;
        setLog((was) => withPart(was, part));
        return false;
      },
    }).catch((failure: unknown) => {
      if (!stop.signal.aborted) setError(failure);
    });
    return () => stop.abort();
  }, [from]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: each new part may have to be scrolled to
  useLayoutEffect(() => {
    if (box.current && atEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [log]);

  return (
    <>
      {error ? (
        <p role="alert" className="mb-3 text-bad">
          {wordsFor(error, texts)}
        </p>
      ) : null}
      {log.cut ? <p className="mb-2 text-xs text-muted">{words.cut}</p> : null}
      <pre
        ref={box}
        role="log"
        aria-label={words.label}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and has to by keyboard
        tabIndex={0}
        onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
          atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_PX;
        }}
        className={cn(
          log.text ? 'h-96' : 'h-24',
          'overflow-auto rounded-lg bg-term p-3 font-mono text-xs leading-5 break-all whitespace-pre-wrap text-term-ink',
        )}
      >
        {log.text || (loading && !error ? texts.common.loading : words.empty)}
      </pre>
    </>
  );
}
