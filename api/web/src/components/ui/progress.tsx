import { cn } from '@/lib/cn';

type ProgressProps = { value: number; label: string; tone?: 'busy' | 'good' | 'warn' | 'bad'; className?: string };

const TONES = { busy: 'bg-busy', good: 'bg-good', warn: 'bg-warn', bad: 'bg-bad' };

/** How far something is, in percent. */
export function Progress({ value, label, tone = 'busy', className }: ProgressProps) {
  const percent = Math.round(Math.min(100, Math.max(0, value)));
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuenow={percent}
      aria-valuemin={0}
      aria-valuemax={100}
      className={cn('h-1.5 overflow-hidden rounded-full bg-ink/8', className)}
    >
      <div
        className={cn('h-full rounded-full transition-[width] duration-500 ease-out', TONES[tone])}
        style={{ width: `${percent}%` }}
      />
    </div>
  );
}
