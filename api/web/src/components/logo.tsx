import { cn } from '@/lib/cn';

export function Logo({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true" className={cn('size-8 shrink-0', className)}>
      <rect width="32" height="32" rx="8" className="fill-brand" />
      <path
        d="M9 23c0-7 2.5-12 7-15-1.4 3.6-1.6 5.8-.6 8.2C17.6 12.5 20.5 10.3 24 9.5c-4.2 3.8-5.6 7-6 13.500z"
        fill="#fff"
      />
    </svg>
  );
}
