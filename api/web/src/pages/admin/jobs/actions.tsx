import { useNavigate } from '@tanstack/react-router';
import { RotateCw, Square, Trash2 } from 'lucide-react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { isStuckChange } from '@/api/jobs';
import { Button } from '@/components/ui/button';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { Confirm } from '../parts/confirm';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';

/** What can be done about a job as it is. */
export function Actions({ job }: { job: Schemas['JobView'] }) {
  const texts = useTexts();
  const { jobs } = useAdminTexts();
  const navigate = useNavigate();
  const name = wordFor(texts.jobs.kinds, job.kind, texts.jobs.newer);
  const path = { params: { path: { id: job.id } } };
  const retry = useChange({
    run: () => call(client.POST('/api/admin/jobs/{id}/retry', path)),
    done: () => jobs.retried(name),
    failed: jobs.retryFailed(name),
  });
  const cancel = useChange({
    run: () => call(client.POST('/api/admin/jobs/{id}/cancel', path)),
    done: () => jobs.cancelling(name),
    failed: jobs.cancelFailed(name),
  });
  const drop = useChange({
    run: () => call(client.DELETE('/api/admin/jobs/{id}', path)),
    done: () => jobs.dropped(name),
    failed: jobs.dropFailed(name),
    onDone: () => void navigate({ to: '/admin/jobs' }),
  });
  const dead = job.status === 'failed' || job.status === 'cancelled';
  const stuck = isStuckChange(job);
  const open = job.status === 'queued' || job.status === 'running';
  return (
    <div className="flex flex-wrap gap-2">
      {open ? (
        <Confirm
          title={texts.jobs.cancelTitle(name)}
          text={texts.jobs.cancelText}
          yes={jobs.cancelYes}
          danger
          onYes={() => cancel.mutate()}
          trigger={(ask) => (
            <Button
              size="sm"
              variant="dangerOutline"
              busy={cancel.isPending}
              disabled={job.cancelRequested}
              onClick={ask}
            >
              <Square aria-hidden />
              {job.cancelRequested ? jobs.cancelRequested : jobs.cancel}
            </Button>
          )}
        />
      ) : null}
      {dead ? (
        <>
          <Button size="sm" busy={retry.isPending} onClick={() => retry.mutate()}>
            <RotateCw aria-hidden />
            {stuck ? jobs.retryUndo : jobs.retry}
          </Button>
          {stuck ? null : (
            <Confirm
              title={jobs.dropTitle(name)}
              text={jobs.dropText}
              yes={jobs.drop}
              danger
              onYes={() => drop.mutate()}
              trigger={(ask) => (
                <Button size="sm" variant="dangerOutline" busy={drop.isPending} onClick={ask}>
                  <Trash2 aria-hidden />
                  {jobs.drop}
                </Button>
              )}
            />
          )}
        </>
      ) : null}
    </div>
  );
}
