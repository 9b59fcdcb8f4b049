import { Link, type LinkProps } from '@tanstack/react-router';
import { ArrowLeft } from 'lucide-react';
import { cn } from '@/lib/cn';

type BackLinkProps = { to: LinkProps['to']; className?: string; children: string };

/** Where one came from, above a page's title. */
export function BackLink({ to, className, children }: BackLinkProps) {
  return (
    <Link
      to={to}
      className={cn('mb-3 inline-flex items-center gap-1.5 text-[0.8125rem] text-muted hover:text-ink', className)}
    >
      <ArrowLeft aria-hidden className="size-3.5" />
      {children}
    </Link>
  );
}
