import { useEffect, useRef } from 'react';
import { call, client } from '@/api/client';
import type { Instance } from '@/api/instances';
import { instancesQuery, isAsleep, refreshInstance } from '@/api/instances';
import { jobQuery } from '@/api/jobs';
import { queryClient } from '@/api/query-client';
import { toast } from '@/components/toasts';
import { useTexts } from '@/texts';

/** Says how the job that was under way has ended, wherever in the instance's pages one is by then. */
export function useOutcome(instance: Instance | undefined, gone: boolean, name: string) {
  const texts = useTexts();
  const watched = useRef<string | undefined>(undefined);
  const current = instance?.currentJob?.id;
  const asleep = instance !== undefined && isAsleep(instance);
  useEffect(() => {
    const before = watched.current;
    watched.current = current;
    if (!before || before === current) return;
    call(client.GET('/api/jobs/{id}', { params: { path: { id: before } } })).then(
      (job) => {
        queryClient.setQueryData(jobQuery(job.id).queryKey, job);
        const words = texts.instance;
        const kind = job.kind as keyof typeof words.done;
        if (job.status === 'succeeded' && job.kind === 'stop' && asleep) toast.success(words.sleep.fell(name));
        else if (job.status === 'succeeded' && words.done[kind]) toast.success(words.done[kind](name));
        if (job.status === 'failed' && words.failed[kind]) toast.error(words.failed[kind](name), job.error?.message);
        if (job.instanceId && !gone) refreshInstance(job.instanceId);
        if (gone) void queryClient.invalidateQueries({ queryKey: instancesQuery.queryKey });
      },
      // Then it is shown where the instance's activity is.
      () => {},
    );
  }, [current, gone, asleep, name, texts]);
}
