import type { ReactNode } from 'react';
import { LoadFailed } from '@/components/state';
import { Notice } from '@/components/ui/notice';
import { Skeleton } from '@/components/ui/skeleton';
import { wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { useAdminTexts } from '../texts';

type Query<T> = { data: T | undefined; error: unknown; isPending: boolean; refetch: () => unknown };
type LoadedProps<T> = { query: Query<T>; rows?: number; children: (data: T) => ReactNode };

/**
 * What was asked for, once it is there. What was there before stays when it cannot be asked for again, with a word about that.
 */
export function Loaded<T>({ query, rows = 4, children }: LoadedProps<T>) {
  const texts = useTexts();
  const { stale } = useAdminTexts();
  if (query.data !== undefined) {
    return (
      <div className="space-y-4">
        {query.error ? (
          <Notice tone="warn" title={stale}>
            {wordsFor(query.error, texts)}
          </Notice>
        ) : null}
        {children(query.data)}
      </div>
    );
  }
  if (query.isPending) {
    return (
      <div role="status" className="space-y-3">
        <span className="sr-only">{texts.common.loading}</span>
        {Array.from({ length: rows }, (_, row) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
          <Skeleton key={row} className="h-14" />
        ))}
      </div>
    );
  }
  return (
    <div className="rounded-xl border bg-surface">
      <LoadFailed error={query.error} onRetry={() => void query.refetch()} />
    </div>
  );
}
