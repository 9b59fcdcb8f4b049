import { useTexts } from '@/texts';
import type { Session } from './session';

const KEYS = [
  { name: 'Esc', type: '\x1b' },
  { name: 'Tab', type: '\t' },
  { name: 'Ctrl+C', type: '\x03' },
  { name: 'Ctrl+D', type: '\x04' },
  { name: '←', arrow: 'D' },
  { name: '↓', arrow: 'B' },
  { name: '↑', arrow: 'A' },
  { name: '→', arrow: 'C' },
] as const;

/** The keys that a phone's keyboard lacks. */
export function PhoneKeys({ session }: { session: Session }) {
  const { terminal } = useTexts();
  return (
    <div
      role="toolbar"
      aria-label={terminal.phoneKeys}
      className="hidden gap-1 overflow-x-auto border-t border-term-line bg-term-bar px-2 py-1.5 pointer-coarse:flex"
    >
      {KEYS.map((key) => (
        <button
          key={key.name}
          type="button"
          // The keyboard stays, as the terminal keeps the focus.
          onPointerDown={(event) => event.preventDefault()}
          onClick={() => session.type('type' in key ? key.type : session.arrow(key.arrow))}
          className="min-w-10 shrink-0 rounded-md bg-white/10 px-2.5 py-1.5 text-xs text-term-ink active:bg-white/20"
        >
          {key.name}
        </button>
      ))}
    </div>
  );
}
