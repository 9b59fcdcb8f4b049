// What the instances of a list have used in the last hour: asked for by the block, so that a list of a thousand is not asked for
// whole, and scrolling by a row asks for nothing.
import { keepPreviousData, useQueries } from '@tanstack/react-query';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import type { Instance } from '@/api/instances';

export type Usage = Schemas['RecentUsage'];

/** Instances in a block: what one request asks for. */
export const BLOCK = 50;

/** There is a new value a minute. */
const EVERY_MS = 60_000;

/** The ids of the running instances, in the blocks in which rows `first` to `last` are. */
export function blocks(instances: Instance[], first: number, last: number): string[][] {
  const found: string[][] = [];
  for (let start = first - (first % BLOCK); start <= last && start < instances.length; start += BLOCK) {
    const running = instances.slice(start, start + BLOCK).filter((instance) => instance.status === 'running');
    if (running.length) found.push(running.map((instance) => instance.id));
  }
  return found;
}

/** What the instances on the screen have used, by their ids. */
export function useUsage(instances: Instance[], first: number, last: number): Map<string, Usage> {
  return useQueries({
    queries: blocks(instances, first, last).map((ids) => ({
      queryKey: ['usage', ids],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        call(
          client.GET('/api/instances/usage', {
            signal,
            params: { query: { ids } },
            // All are one word, separated by commas.
            querySerializer: { array: { style: 'form', explode: false } },
          }),
        ),
      refetchInterval: EVERY_MS,
      staleTime: EVERY_MS,
      // When one of them starts or stops, the others stay as they are.
      placeholderData: keepPreviousData,
    })),
    combine: byId,
  });
}

/** Has to stay the same function: otherwise the map would be made anew each time. */
function byId(answers: { data?: Schemas['UsageOfSeveral'] | undefined }[]): Map<string, Usage> {
  return new Map(answers.flatMap(({ data }) => data?.items ?? []).map((one) => [one.id, one]));
}
