import { Check, Circle, CircleDashed, Undo2, X } from 'lucide-react';
import type { Schemas } from '@/api/contract';
import { Spinner } from '@/components/ui/spinner';
import { cn } from '@/lib/cn';
import { span } from '@/lib/format';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { useAdminTexts } from '../texts';

const ICONS = {
  pending: { Icon: CircleDashed, tone: 'text-muted' },
  running: { Icon: Circle, tone: 'text-busy' },
  done: { Icon: Check, tone: 'text-good' },
  failed: { Icon: X, tone: 'text-bad' },
  undone: { Icon: Undo2, tone: 'text-warn' },
};

/** What a job consists of, and how far it is. */
export function Steps({ steps }: { steps: Schemas['Step'][] }) {
  const { jobs, common } = useTexts();
  const admin = useAdminTexts();
  if (steps.length === 0) return <p className="text-muted">{admin.jobs.noSteps}</p>;
  return (
    <ol className="space-y-2.5">
      {steps.map((step) => {
        const { Icon, tone } = ICONS[step.status] ?? ICONS.pending;
        return (
          <li key={step.name} className="flex items-start gap-2.5">
            {step.status === 'running' ? (
              <Spinner className={cn('mt-0.5', tone)} />
            ) : (
              <Icon aria-hidden className={cn('mt-0.5 size-4 shrink-0', tone)} />
            )}
            <span className={cn('min-w-0 flex-1', step.status === 'pending' && 'text-muted')}>
              {jobs.steps[step.name] ?? step.name}
              <span className="sr-only"> ({wordFor(jobs.stepStatuses, step.status, common.unknown)})</span>
            </span>
            {step.durationMs == null || step.status === 'pending' ? null : (
              <span className="text-xs text-muted tabular-nums">{span(step.durationMs)}</span>
            )}
          </li>
        );
      })}
    </ol>
  );
}
