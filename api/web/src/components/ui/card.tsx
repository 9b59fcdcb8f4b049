import type { ComponentProps, ReactNode } from 'react';
import { cn } from '@/lib/cn';

/** A box with a heading, for one subject of a page. */
export function Card({ className, ...rest }: ComponentProps<'section'>) {
  return <section className={cn('rounded-xl border bg-surface shadow-card', className)} {...rest} />;
}

type HeadProps = { title: ReactNode; text?: ReactNode; action?: ReactNode; level?: 2 | 3; className?: string };

export function CardHead({ title, text, action, level = 2, className }: HeadProps) {
  const Heading = level === 2 ? 'h2' : 'h3';
  return (
    <div className={cn('flex flex-wrap items-start justify-between gap-x-4 gap-y-3 px-5 pt-4', className)}>
      <div className="min-w-0">
        <Heading className="font-semibold tracking-tight">{title}</Heading>
        {text ? <p className="mt-0.5 text-[0.8125rem] text-muted">{text}</p> : null}
      </div>
      {action ? <div className="flex shrink-0 items-center gap-2">{action}</div> : null}
    </div>
  );
}

export function CardBody({ className, ...rest }: ComponentProps<'div'>) {
  return <div className={cn('px-5 py-4', className)} {...rest} />;
}
