import { Link, useNavigate } from '@tanstack/react-router';
import { Layers } from 'lucide-react';
import { useState } from 'react';
import { call, client } from '@/api/client';
import { usePages } from '@/components/pages';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Dialog } from '@/components/ui/dialog';
import { Empty } from '@/components/ui/empty';
import { Switch } from '@/components/ui/switch';
import { When } from '@/components/when';
import { useTexts } from '@/texts';
import { took } from '../jobs/job-row';
import { Heading } from '../parts/heading';
import { JobStatus } from '../parts/job-status';
import { Listed } from '../parts/listed';
import { Td, Th, Tr } from '../parts/table';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';

/** Updates of everything. */
export function RolloutsPage() {
  const { rollouts, jobs } = useAdminTexts();
  const query = usePages(['admin', 'rollouts'], (cursor, signal) =>
    call(
      client.GET('/api/admin/jobs', {
        signal,
        params: { query: { kind: 'update_all', ...(cursor ? { cursor } : {}) } },
      }),
    ),
  );
  return (
    <>
      <Heading title={rollouts.title} text={rollouts.text} actions={<StartDialog />} />
      <Listed
        query={query}
        rows={3}
        label={rollouts.title}
        empty={<Empty icon={Layers} title={rollouts.none} text={rollouts.noneText} />}
        head={
          <>
            <Th>{rollouts.begun}</Th>
            <Th>{jobs.status}</Th>
            <Th aside>{jobs.requestedBy}</Th>
            <Th className="text-right">{jobs.took}</Th>
          </>
        }
      >
        {(job) => (
          <Tr key={job.id}>
            <Td>
              <Link
                to="/admin/rollouts/$jobId"
                params={{ jobId: job.id }}
                className="font-medium underline-offset-4 hover:underline"
              >
                <When at={job.createdAt} />
              </Link>
              {job.error ? <p className="mt-0.5 max-w-96 text-[0.8125rem] text-bad">{job.error.message}</p> : null}
            </Td>
            <Td>
              <JobStatus status={job.status} />
            </Td>
            <Td aside>{job.requestedByEmail ?? jobs.byItself}</Td>
            <Td className="text-right whitespace-nowrap tabular-nums">{took(job)}</Td>
          </Tr>
        )}
      </Listed>
    </>
  );
}

function StartDialog() {
  const { common } = useTexts();
  const { rollouts } = useAdminTexts();
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const [rebuild, setRebuild] = useState(true);
  const start = useChange({
    run: () => call(client.POST('/api/admin/update-all', { body: { rebuild } })),
    failed: rollouts.startFailed,
    onDone: ({ job, joined }) => {
      setOpen(false);
      toast.success(joined ? rollouts.joined : rollouts.started);
      void navigate({ to: '/admin/rollouts/$jobId', params: { jobId: job.id } });
    },
  });
  return (
    <>
      <Button onClick={() => setOpen(true)}>
        <Layers aria-hidden />
        {rollouts.start}
      </Button>
      <Dialog
        open={open}
        onOpenChange={setOpen}
        title={rollouts.startTitle}
        text={rollouts.startText}
        actions={
          <>
            <Button variant="outline" onClick={() => setOpen(false)}>
              {common.cancel}
            </Button>
            <Button busy={start.isPending} onClick={() => start.mutate()}>
              {rollouts.startYes}
            </Button>
          </>
        }
      >
        <Switch checked={rebuild} onChange={setRebuild} label={rollouts.rebuild} text={rollouts.rebuildText} />
      </Dialog>
    </>
  );
}
