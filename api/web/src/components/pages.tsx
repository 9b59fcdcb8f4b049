import { type QueryKey, useInfiniteQuery } from '@tanstack/react-query';
import { useTexts } from '@/texts';
import { Button } from './ui/button';

type PageOf<T> = { items: T[]; nextCursor?: string | null };

/** A list that comes page by page, each from where the one before it ended. While only the first is shown it is kept fresh. */
export function usePages<T>(
  queryKey: QueryKey,
  load: (cursor: string | undefined, signal: AbortSignal) => Promise<PageOf<T>>,
  everyMs = 5_000,
) {
  return useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) => load(pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.nextCursor ?? undefined,
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 1) > 1 ? false : everyMs),
  });
}

type MoreProps = { query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown } };

/** Shows the next page, if there is one. */
export function More({ query }: MoreProps) {
  const { common } = useTexts();
  if (!query.hasNextPage) return null;
  return (
    <div className="flex justify-center pt-2">
      <Button variant="outline" busy={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
        {common.loadMore}
      </Button>
    </div>
  );
}
