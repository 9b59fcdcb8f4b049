import type { ComponentProps } from 'react';
import { cn } from '@/lib/cn';

type TableProps = ComponentProps<'table'> & { label: string };

/** A table that scrolls sideways where it has to, by keyboard as well. */
export function Table({ label, className, ...rest }: TableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and has to by keyboard
    <section aria-label={label} tabIndex={0} className="overflow-x-auto rounded-xl border bg-surface shadow-card">
      <table className={cn('w-full border-collapse text-left', className)} {...rest} />
    </section>
  );
}

/** The head of a column. `aside`: on a phone there is no room for it. */
export function Th({ className, aside, ...rest }: ComponentProps<'th'> & { aside?: boolean }) {
  return (
    <th
      scope="col"
      className={cn(
        'border-b bg-sunken/60 px-3 py-2 text-xs font-medium whitespace-nowrap text-muted first:pl-4 last:pr-4',
        aside && 'max-md:hidden',
        className,
      )}
      {...rest}
    />
  );
}

export function Td({ className, aside, ...rest }: ComponentProps<'td'> & { aside?: boolean }) {
  return (
    <td
      className={cn(
        'border-b px-3 py-2.5 align-top group-last:border-b-0 first:pl-4 last:pr-4',
        aside && 'max-md:hidden',
        className,
      )}
      {...rest}
    />
  );
}

export function Tr({ className, ...rest }: ComponentProps<'tr'>) {
  return <tr className={cn('group transition-colors hover:bg-sunken/50', className)} {...rest} />;
}
