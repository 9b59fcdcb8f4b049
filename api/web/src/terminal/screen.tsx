import { useEffect, useRef } from 'react';
import { useTexts } from '@/texts';
import type { Session } from './session';

/** Where a terminal is drawn. */
export function Screen({ session, onFind }: { session: Session; onFind: () => void }) {
  const { terminal } = useTexts();
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const parent = place.current;
    if (!parent) return;
    void session.show(parent).then(() => session.focusUnlessBehind());
    return () => session.hide();
  }, [session]);
  return (
    <div
      className="min-h-0 flex-1 py-2 pl-3"
      onKeyDownCapture={(event) => {
        if (event.ctrlKey && event.shiftKey && event.code === 'KeyF') {
          event.preventDefault();
          event.stopPropagation();
          onFind();
        }
      }}
    >
      <div ref={place} data-terminal className="size-full" />
      <p className="sr-only">{terminal.leaveHint}</p>
    </div>
  );
}
