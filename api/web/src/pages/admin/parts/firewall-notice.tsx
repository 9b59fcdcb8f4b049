import { useQuery } from '@tanstack/react-query';
import { call, client } from '@/api/client';
import { Notice } from '@/components/ui/notice';
import { When } from '@/components/when';
import { useAdminTexts } from '../texts';

const EVERY_MS = 10_000;

/** Above every page for administrators, while instances can reach what is to be closed to them. */
export function FirewallNotice() {
  const { firewall } = useAdminTexts();
  const { data } = useQuery({
    queryKey: ['admin', 'firewall'],
    queryFn: ({ signal }) => call(client.GET('/api/admin/firewall', { signal })),
    refetchInterval: EVERY_MS,
  });
  if (data?.state !== 'open') return null;
  return (
    <div role="alert" className="mb-6">
      <Notice tone="bad" title={firewall.open}>
        <p>{firewall.todo}</p>
        <p className="mt-1 text-muted">
          {data.message} {data.checkedAt ? <When at={data.checkedAt} /> : null}
        </p>
      </Notice>
    </div>
  );
}
