// Instances: what is known of them, how often they are asked for, and what can be done to them.
import { queryOptions, type UseQueryResult, useMutation, useQuery } from '@tanstack/react-query';
import { ApiError, call, client } from './client';
import type { Schemas } from './contract';
import { queryClient } from './query-client';

export type Instance = Schemas['InstanceView'];
export type InstanceStatus = Schemas['InstanceStatus'];
export type Job = Schemas['JobView'];

const PAGE = 100;
/** Pages of one list, at most: nobody looks through more. */
const MOST_PAGES = 50;

/** Something is happening to it. */
export function isWorking(instance: Instance): boolean {
  return Boolean(instance.currentJob) || !['running', 'stopped', 'error'].includes(instance.status);
}

/** Nobody used it, so it was stopped. It wakes by itself when it is needed. */
export function isAsleep(instance: Pick<Instance, 'status' | 'asleep'>): boolean {
  return instance.status === 'stopped' && Boolean(instance.asleep);
}

/** Its last change could not be undone. Until an administrator has retried that job, it can only be deleted. */
export function isStuck(instance: Pick<Instance, 'error'>): boolean {
  return instance.error?.code === 'undo_failed';
}

/** Whether a start, a stop or a change of it would be refused now. */
export function isBlocked(instance: Instance): boolean {
  return isWorking(instance) || isStuck(instance);
}

/** How soon a list is asked for again, in milliseconds: the longer it is, the less often. */
export function listInterval(instances: Instance[] | undefined): number {
  if (!instances) return 5_000;
  const busy = instances.some(isWorking);
  const pages = Math.max(1, Math.ceil(instances.length / PAGE));
  return (busy ? 2_500 : 10_000) * pages;
}

/** All instances of the person, newest first, over all pages. */
export const instancesQuery = queryOptions({
  queryKey: ['instances', 'list'],
  queryFn: async ({ signal }): Promise<Instance[]> => {
    const all: Instance[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const query = cursor === undefined ? { limit: PAGE } : { limit: PAGE, cursor };
      const answer = await call(client.GET('/api/instances', { params: { query }, signal }));
      all.push(...answer.items);
      if (!answer.nextCursor) break;
      cursor = answer.nextCursor;
    }
    return all;
  },
  refetchInterval: (query) => listInterval(query.state.data),
});

export const instanceQuery = (id: string) =>
  queryOptions({
    queryKey: ['instances', 'one', id],
    queryFn: ({ signal }) => call(client.GET('/api/instances/{id}', { params: { path: { id } }, signal })),
    refetchInterval: (query) => {
      if (query.state.error instanceof ApiError && query.state.error.status === 404) return false;
      return query.state.data && isWorking(query.state.data) ? 1_500 : 6_000;
    },
  });

export function useInstance(id: string): UseQueryResult<Instance> {
  return useQuery(instanceQuery(id));
}

/** What an answer says of an instance is shown at once, before the next time it is asked for. */
export function noteInstance(instance: Instance): void {
  queryClient.setQueryData(instanceQuery(instance.id).queryKey, (known) => ({
    ...instance,
    // Only the instance's own page is told the token.
    gatewayToken: instance.gatewayToken ?? (instance.status === 'running' ? (known?.gatewayToken ?? null) : null),
  }));
  queryClient.setQueryData(instancesQuery.queryKey, (list) =>
    list?.map((one) => (one.id === instance.id ? instance : one)),
  );
}

/** Everything about an instance is asked for anew. */
export function refreshInstance(id: string): void {
  void queryClient.invalidateQueries({ queryKey: instanceQuery(id).queryKey });
  void queryClient.invalidateQueries({ queryKey: ['jobs', 'of', id] });
  void queryClient.invalidateQueries({ queryKey: ['changes', id] });
  void queryClient.invalidateQueries({ queryKey: instancesQuery.queryKey });
}

export type Power = 'start' | 'stop' | 'restart';

/** Starts, stops or restarts. */
export function usePower(id: string) {
  return useMutation({
    mutationFn: (power: Power) => {
      const init = { params: { path: { id } } };
      if (power === 'start') return call(client.POST('/api/instances/{id}/start', init));
      if (power === 'stop') return call(client.POST('/api/instances/{id}/stop', init));
      return call(client.POST('/api/instances/{id}/restart', init));
    },
    onSuccess: (accepted) => noteInstance(accepted.instance),
    onSettled: () => refreshInstance(id),
  });
}

export function useUpdate(id: string) {
  return useMutation({
    mutationFn: (body: Schemas['UpdateInstance']) =>
      call(client.POST('/api/instances/{id}/update', { params: { path: { id } }, body })),
    onSuccess: (accepted) => noteInstance(accepted.instance),
    onSettled: () => refreshInstance(id),
  });
}

export function useRollback(id: string) {
  return useMutation({
    mutationFn: () => call(client.POST('/api/instances/{id}/rollback', { params: { path: { id } } })),
    onSuccess: (accepted) => noteInstance(accepted.instance),
    onSettled: () => refreshInstance(id),
  });
}

export function useDelete(id: string) {
  return useMutation({
    mutationFn: () => call(client.DELETE('/api/instances/{id}', { params: { path: { id } } })),
    onSuccess: (accepted) => noteInstance(accepted.instance),
    onSettled: () => refreshInstance(id),
  });
}

export type EditInstance = Schemas['EditInstance'];

/** Changes name or settings. The answer has a job if they are applied at once. */
export function useEdit(id: string) {
  return useMutation({
    mutationFn: async (body: EditInstance): Promise<{ instance: Instance; job: Job | null }> => {
      const answer = await call(client.PATCH('/api/instances/{id}', { params: { path: { id } }, body }));
      return 'instance' in answer ? answer : { instance: answer, job: null };
    },
    onSuccess: ({ instance }) => noteInstance(instance),
    onSettled: () => refreshInstance(id),
  });
}

export type CreateInstance = Schemas['CreateInstance'];

export function useCreate() {
  return useMutation({
    mutationFn: ({ body, key }: { body: CreateInstance; key: string }) =>
      call(client.POST('/api/instances', { params: { header: { 'Idempotency-Key': key } }, body })),
    onSuccess: ({ instance }) => {
      queryClient.setQueryData(instanceQuery(instance.id).queryKey, instance);
      void queryClient.invalidateQueries({ queryKey: instancesQuery.queryKey });
    },
  });
}

/** A link that opens the dashboard once. It is a secret: it goes into the new tab and nowhere else. */
export function dashboardLink(id: string): Promise<Schemas['DashboardLink']> {
  return call(client.POST('/api/instances/{id}/dashboard-link', { params: { path: { id } } }));
}

export const changesQuery = (id: string) =>
  queryOptions({
    queryKey: ['changes', id],
    queryFn: ({ signal }) => call(client.GET('/api/instances/{id}/changes', { params: { path: { id } }, signal })),
  });

// --- devices ----------------------------------------------------------------------------------------------------------

/**
 * How soon the devices are asked for again where only their requests matter, in milliseconds. The gateway answers in a
 * moment, but if it cannot, a command in the container does, a core for a second or two. A request waits for five
 * minutes.
 */
export function requestsInterval(devices: Schemas['Devices'] | undefined): number {
  return devices?.pending.length ? 15_000 : 60_000;
}

/** Nothing is asked for while the page is hidden. */
export const devicesQuery = (id: string) =>
  queryOptions({
    queryKey: ['devices', id],
    staleTime: 10_000,
    refetchIntervalInBackground: false,
    queryFn: ({ signal }) => call(client.GET('/api/instances/{id}/devices', { params: { path: { id } }, signal })),
  });

/** What can be done to a device: let in or turned away while it waits, removed afterwards. */
export type DeviceAct = { act: 'approve' | 'reject'; requestId: string } | { act: 'remove'; deviceId: string };

export function useDeviceAct(id: string) {
  return useMutation<unknown, Error, DeviceAct>({
    mutationFn: (asked) => {
      if (asked.act === 'remove') {
        const path = { id, deviceId: asked.deviceId };
        return call(client.DELETE('/api/instances/{id}/devices/{deviceId}', { params: { path } }));
      }
      const init = { params: { path: { id, requestId: asked.requestId } } };
      return asked.act === 'approve'
        ? call(client.POST('/api/instances/{id}/devices/{requestId}/approve', init))
        : call(client.POST('/api/instances/{id}/devices/{requestId}/reject', init));
    },
    onSettled: () => queryClient.invalidateQueries({ queryKey: devicesQuery(id).queryKey }),
  });
}
