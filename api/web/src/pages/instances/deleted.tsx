import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { ArrowLeft, RotateCcw, Trash2 } from 'lucide-react';
import { deletedQuery } from '@/api/deleted';
import { Page } from '@/components/page';
import { LoadFailed } from '@/components/state';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { Skeleton } from '@/components/ui/skeleton';
import { Until, When } from '@/components/when';
import { bytes } from '@/lib/format';
import { useTexts } from '@/texts';
import { useDeletedTexts } from './deleted-texts';
import { RenameDialog } from './rename-dialog';
import { type Deleted, useRestore } from './use-restore';

/** Instances that were deleted and can still be restored. */
export function DeletedInstancesPage() {
  const words = useDeletedTexts();
  return (
    <Page
      title={words.title}
      text={words.text}
      actions={
        <Button asChild variant="outline">
          <Link to="/instances">
            <ArrowLeft aria-hidden />
            {words.back}
          </Link>
        </Button>
      }
    >
      <Card className="overflow-hidden">
        <List />
      </Card>
    </Page>
  );
}

function List() {
  const { common } = useTexts();
  const words = useDeletedTexts();
  const query = useQuery(deletedQuery);
  if (query.isPending) {
    return (
      <div role="status" className="space-y-3 p-5">
        <span className="sr-only">{common.loading}</span>
        <Skeleton className="h-9" />
        <Skeleton className="h-9" />
      </div>
    );
  }
  if (!query.data) return <LoadFailed error={query.error} onRetry={() => void query.refetch()} />;
  if (query.data.items.length === 0) return <Empty icon={Trash2} title={words.none} text={words.noneText} />;
  return (
    <ul className="divide-y">
      {query.data.items.map((instance) => (
        <li key={instance.id}>
          <Row instance={instance} />
        </li>
      ))}
    </ul>
  );
}

function Row({ instance }: { instance: Deleted }) {
  const words = useDeletedTexts();
  const { restore, renaming, stopRenaming } = useRestore(instance);
  return (
    <div className="flex flex-wrap items-center gap-x-6 gap-y-3 px-4 py-3.5 sm:px-5">
      <div className="min-w-0 flex-1">
        <p className="truncate font-medium">{instance.name}</p>
        <p className="mt-1 flex flex-wrap gap-x-3 text-[0.8125rem] text-muted">
          <span className="font-mono text-xs">{instance.id}</span>
          <span>{instance.bytes == null ? words.sizeUnknown : bytes(instance.bytes)}</span>
          <span>
            {words.deletedAt} <When at={instance.deletedAt} />
          </span>
          {instance.expiresAt ? (
            <span>
              {words.removedAt} <Until at={instance.expiresAt} />
            </span>
          ) : null}
        </p>
      </div>
      <Button size="sm" variant="outline" busy={restore.isPending} onClick={() => restore.mutate(undefined)}>
        <RotateCcw aria-hidden />
        {words.restore}
      </Button>
      {renaming ? <RenameDialog instance={instance} restore={restore} onClose={stopRenaming} /> : null}
    </div>
  );
}
