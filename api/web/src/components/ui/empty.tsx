import type { LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';

type EmptyProps = { icon: LucideIcon; title: ReactNode; text?: ReactNode; action?: ReactNode };

/** Nothing is here, why, and what to do about it. */
export function Empty({ icon: Icon, title, text, action }: EmptyProps) {
  return (
    <div className="flex flex-col items-center px-6 py-14 text-center">
      <span className="mb-4 grid size-12 place-items-center rounded-2xl bg-ink/6">
        <Icon aria-hidden className="size-6 text-muted" />
      </span>
      <p className="text-base font-semibold tracking-tight">{title}</p>
      {text ? <p className="mt-1 max-w-sm text-muted">{text}</p> : null}
      {action ? <div className="mt-5 flex flex-wrap justify-center gap-2">{action}</div> : null}
    </div>
  );
}
