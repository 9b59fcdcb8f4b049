// Short words about what was done, in a corner. They are read out, and they go by themselves.
import { CircleAlert, CircleCheck, X } from 'lucide-react';
import { useEffect, useSyncExternalStore } from 'react';
import { cn } from '@/lib/cn';
import { useTexts } from '@/texts';

type Toast = { id: number; tone: 'good' | 'bad'; title: string; text: string | undefined };

const LASTS_MS = { good: 5_000, bad: 10_000 };
const MOST = 4;

let toasts: readonly Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();

function set(next: readonly Toast[]) {
  toasts = next;
  for (const listener of listeners) listener();
}

function show(tone: Toast['tone'], title: string, text?: string) {
  last += 1;
  // The same word twice is said once.
  const others = toasts.filter((one) => one.title !== title || one.text !== text);
  set([...others, { id: last, tone, title, text }].slice(-MOST));
}

export const toast = {
  /** Something was done. */
  success: (title: string, text?: string) => show('good', title, text),
  /** Something was not done, and why. */
  error: (title: string, text?: string) => show('bad', title, text),
};

function dismiss(id: number) {
  set(toasts.filter((one) => one.id !== id));
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Where they appear: on a phone at the top, since the buttons of a dialog are at the bottom there. */
export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <div
      aria-live="polite"
      data-toasts
      className="pointer-events-none fixed inset-x-3 top-3 z-60 flex flex-col items-stretch gap-2 sm:top-auto sm:right-5 sm:bottom-5 sm:left-auto sm:w-88"
    >
      {shown.map((one) => (
        <ToastView key={one.id} {...one} />
      ))}
    </div>
  );
}

function ToastView({ id, tone, title, text }: Toast) {
  const { common } = useTexts();
  useEffect(() => {
    const timer = setTimeout(() => dismiss(id), LASTS_MS[tone]);
    return () => clearTimeout(timer);
  }, [id, tone]);
  const Icon = tone === 'good' ? CircleCheck : CircleAlert;
  return (
    <div className="pointer-events-auto flex animate-enter items-start gap-3 rounded-xl border bg-raised px-4 py-3 shadow-float">
      <Icon aria-hidden className={cn('mt-0.5 size-4 shrink-0', tone === 'good' ? 'text-good' : 'text-bad')} />
      <div className="min-w-0 flex-1 break-words">
        <p className="font-medium">{title}</p>
        {text ? <p className="text-[0.8125rem] text-muted">{text}</p> : null}
      </div>
      <button
        type="button"
        aria-label={common.close}
        onClick={() => dismiss(id)}
        className="-m-1 rounded-md p-1 text-muted hover:bg-ink/6 hover:text-ink"
      >
        <X aria-hidden className="size-3.5" />
      </button>
    </div>
  );
}
