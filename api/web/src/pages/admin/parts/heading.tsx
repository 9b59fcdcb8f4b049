import type { ReactNode } from 'react';

type HeadingProps = { title: ReactNode; text?: ReactNode; actions?: ReactNode };

/** The head of a part of the administration. */
export function Heading({ title, text, actions }: HeadingProps) {
  return (
    <div className="mb-4 flex flex-wrap items-center justify-between gap-x-6 gap-y-3">
      <div className="min-w-0">
        <h2 className="text-base font-semibold tracking-tight">{title}</h2>
        {text ? <p className="mt-0.5 max-w-2xl text-[0.8125rem] text-muted">{text}</p> : null}
      </div>
      {actions ? <div className="flex flex-wrap items-center gap-2">{actions}</div> : null}
    </div>
  );
}

/** A name and what it stands for, one below the other. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-xs text-muted">{name}</dt>
      <dd className="mt-0.5 break-words">{children}</dd>
    </div>
  );
}
