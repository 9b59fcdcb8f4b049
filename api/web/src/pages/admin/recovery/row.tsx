import { RotateCcw } from 'lucide-react';
import { useState } from 'react';
import { call, client } from '@/api/client';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Until, When } from '@/components/when';
import { bytes } from '@/lib/format';
import { Confirm } from '../parts/confirm';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';
import type { Recoverable } from './recoverable';
import { RestoreDialog } from './restore-dialog';

/** One instance that can be restored or removed for good. */
export function RecoverableRow({ item }: { item: Recoverable }) {
  const { recovery } = useAdminTexts();
  const [restoring, setRestoring] = useState(false);
  const name = item.name ?? item.id;
  const purge = useChange({
    run: () => call(client.DELETE('/api/admin/recoverable-instances/{id}', { params: { path: { id: item.id } } })),
    done: () => recovery.purged(name),
    failed: recovery.purgeFailed(name),
  });
  return (
    <div className="flex flex-wrap items-center gap-x-6 gap-y-3 px-4 py-3.5 sm:px-5">
      <div className="min-w-0 flex-1">
        <p className="flex flex-wrap items-center gap-x-2.5 gap-y-1">
          <span className="font-medium wrap-anywhere">{item.name ?? recovery.unnamed}</span>
          <span className="font-mono text-xs text-muted">{item.id}</span>
          {item.purgeRequestedAt ? <Badge tone="warn">{recovery.purging}</Badge> : null}
        </p>
        <p className="mt-1 flex flex-wrap gap-x-3 text-[0.8125rem] text-muted">
          <span>{item.ownerEmail ?? recovery.ownerUnknown}</span>
          <span>{item.bytes == null ? recovery.sizeUnknown : bytes(item.bytes)}</span>
          <span>
            {recovery.since} <When at={item.since} />
          </span>
          {item.expiresAt ? (
            <span>
              {recovery.expires} <Until at={item.expiresAt} />
            </span>
          ) : null}
        </p>
        <p className="mt-1 text-[0.8125rem] text-muted">{item.reason}</p>
      </div>
      {item.purgeRequestedAt ? null : (
        <div className="flex flex-wrap gap-2">
          <Confirm
            title={recovery.purgeTitle(name)}
            text={recovery.purgeText}
            yes={recovery.purge}
            danger
            onYes={() => purge.mutate()}
            trigger={(ask) => (
              <Button size="sm" variant="ghost" busy={purge.isPending} onClick={ask}>
                {recovery.purge}
              </Button>
            )}
          />
          <Button size="sm" variant="outline" onClick={() => setRestoring(true)}>
            <RotateCcw aria-hidden />
            {recovery.restore}
          </Button>
        </div>
      )}
      {restoring ? <RestoreDialog item={item} onClose={() => setRestoring(false)} /> : null}
    </div>
  );
}
