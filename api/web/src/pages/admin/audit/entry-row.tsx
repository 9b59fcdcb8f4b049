import type { Schemas } from '@/api/contract';
import { Badge } from '@/components/ui/badge';
import { When } from '@/components/when';
import { Td, Tr } from '../parts/table';
import { useAdminTexts } from '../texts';

/** One change, with all that is known of it for whoever opens it. */
export function EntryRow({ entry }: { entry: Schemas['AuditEntry'] }) {
  const { audit } = useAdminTexts();
  const target = `${entry.targetKind} ${entry.targetId}`;
  const detail = Object.keys(entry.detail as object).length > 0;
  return (
    <Tr>
      <Td className="whitespace-nowrap text-muted">
        <When at={entry.at} />
      </Td>
      <Td aside className="max-w-56 wrap-anywhere">
        {entry.actor}
      </Td>
      <Td>
        <span className="font-mono text-xs">{entry.action}</span>
        {entry.outcome === 'failure' ? (
          <Badge tone="bad" className="ml-2">
            {audit.outcomes.failure}
          </Badge>
        ) : null}
        <span className="block text-xs break-all text-muted md:hidden">{target}</span>
        <span className="block text-xs break-all text-muted md:hidden">{entry.actor}</span>
        {detail || entry.requestId ? (
          <details className="text-xs">
            <summary className="cursor-pointer text-muted hover:text-ink">{audit.details}</summary>
            <pre className="mt-1 max-w-96 overflow-x-auto rounded-md bg-sunken p-2 font-mono whitespace-pre-wrap">
              {JSON.stringify(entry.detail, null, 1)}
              {entry.requestId ? `\n${audit.request} ${entry.requestId}` : ''}
            </pre>
          </details>
        ) : null}
      </Td>
      <Td aside className="max-w-64 break-all">
        <span className="text-muted">{entry.targetKind}</span>{' '}
        <span className="font-mono text-xs">{entry.targetId}</span>
      </Td>
      <Td aside className="font-mono text-xs whitespace-nowrap text-muted">
        {entry.clientIp ?? '–'}
      </Td>
    </Tr>
  );
}
