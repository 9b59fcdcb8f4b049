import { cn } from '@/lib/cn';

/** Stands where something will be, so that the page does not jump. */
export function Skeleton({ className }: { className?: string }) {
  return <div aria-hidden className={cn('animate-pulse rounded-md bg-ink/8', className)} />;
}
