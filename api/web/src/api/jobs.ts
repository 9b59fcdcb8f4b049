// Jobs: polled, and watched over an event stream while they run. The stream only says that there is something new; what
// is shown is always what the job itself says, so that nothing is lost with a stream.
import { queryOptions, useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { call, client } from './client';
import type { Schemas } from './contract';
import { refreshInstance } from './instances';
import { queryClient } from './query-client';
import { follow } from './stream';

export type JobDetails = Schemas['JobDetails'];
export type JobEvent = Schemas['JobEvent'];
export type Step = Schemas['Step'];

export function isOver(job: Pick<Schemas['JobView'], 'status'>): boolean {
  return job.status === 'succeeded' || job.status === 'failed' || job.status === 'cancelled';
}

const CHANGES = ['update', 'rollback', 'recreate'];

/** Whether it is a change of an instance that could not be undone: nothing else is done to the instance before it is. */
export function isStuckChange(job: Pick<Schemas['JobView'], 'status' | 'kind' | 'error'>): boolean {
  return job.status === 'failed' && job.error?.code === 'undo_failed' && CHANGES.includes(job.kind);
}

/** How often a job is asked for, in milliseconds: without a stream, and beside one. */
const POLL_MS = 1_500;
const POLL_BESIDE_STREAM_MS = 10_000;

export const jobQuery = (id: string) =>
  queryOptions({
    queryKey: ['jobs', 'one', id],
    queryFn: ({ signal }) => call(client.GET('/api/jobs/{id}', { params: { path: { id } }, signal })),
  });

/** A job, as it goes. */
export function useJob(id: string) {
  const streamed = useJobStream(id);
  return useQuery({
    ...jobQuery(id),
    refetchInterval: (query) => {
      if (query.state.data && isOver(query.state.data)) return false;
      return streamed ? POLL_BESIDE_STREAM_MS : POLL_MS;
    },
  });
}

/** Listens to a job until it is over. Says whether the stream is open. */
function useJobStream(id: string): boolean {
  const over = useQuery({ ...jobQuery(id), select: isOver }).data ?? false;
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (over) return;
    const leave = new AbortController();
    const news = () =>
      void queryClient.invalidateQueries({ queryKey: jobQuery(id).queryKey }, { cancelRefetch: false });
    const onEvent = (event: { name: string }) => {
      news();
      return event.name === 'end';
    };
    // Refused for good: polling does it alone.
    follow(`/api/jobs/${id}/events`, { signal: leave.signal, onEvent, onState: setOpen }).catch(() => {});
    return () => {
      leave.abort();
      setOpen(false);
    };
  }, [id, over]);
  return open;
}

/** The jobs of an instance, newest first. */
export const instanceJobsQuery = (instance: string, limit: number) =>
  queryOptions({
    queryKey: ['jobs', 'of', instance, limit],
    queryFn: ({ signal }) =>
      call(client.GET('/api/instances/{id}/jobs', { params: { path: { id: instance }, query: { limit } }, signal })),
  });

/** What happened to a job, from its beginning. */
export const jobEventsQuery = (id: string) =>
  queryOptions({
    queryKey: ['jobs', 'events', id],
    queryFn: async ({ signal }): Promise<JobEvent[]> => {
      const params = { path: { id }, query: { limit: 100 } };
      const page = await call(client.GET('/api/jobs/{id}/events', { params, signal }));
      // The same address tells it as a stream to whoever asks for one.
      return typeof page === 'string' ? [] : page.items;
    },
  });

export function useCancelJob() {
  return useMutation({
    mutationFn: (id: string) => call(client.POST('/api/jobs/{id}/cancel', { params: { path: { id } } })),
    onSuccess: (job) => {
      void queryClient.invalidateQueries({ queryKey: jobQuery(job.id).queryKey });
      if (job.instanceId) refreshInstance(job.instanceId);
    },
  });
}
