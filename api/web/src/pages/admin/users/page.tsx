import { UserRound } from 'lucide-react';
import { useState } from 'react';
import type { Schemas } from '@/api/contract';
import { useMe } from '@/api/session';
import { Badge } from '@/components/ui/badge';
import { Empty } from '@/components/ui/empty';
import { When } from '@/components/when';
import { Heading } from '../parts/heading';
import { Listed } from '../parts/listed';
import { Td, Th, Tr } from '../parts/table';
import { useAdminTexts } from '../texts';
import { InviteDialog } from './invite';
import { LinkDialog, type ShownLink } from './link-dialog';
import { isInvited } from './reset-dialog';
import { usePeople } from './use-people';
import { UserMenu } from './user-menu';

/** Who may sign in, and with what limits. */
export function UsersPage() {
  const { users } = useAdminTexts();
  const [link, setLink] = useState<ShownLink | null>(null);
  const query = usePeople();
  return (
    <>
      <Heading title={users.title} text={users.text} actions={<InviteDialog onLink={setLink} />} />
      <Listed
        query={query}
        rows={4}
        label={users.title}
        empty={<Empty icon={UserRound} title={users.none} />}
        head={
          <>
            <Th>{users.person}</Th>
            <Th>{users.status}</Th>
            <Th aside>{users.quotas}</Th>
            <Th aside>{users.lastSeen}</Th>
            <Th aside>{users.created}</Th>
            <Th>
              <span className="sr-only">{users.actions}</span>
            </Th>
          </>
        }
      >
        {(user) => <Row key={user.id} user={user} onLink={setLink} />}
      </Listed>
      <LinkDialog link={link} onClose={() => setLink(null)} />
    </>
  );
}

function Row({ user, onLink }: { user: Schemas['Person']; onLink: (link: ShownLink) => void }) {
  const { users } = useAdminTexts();
  const me = useMe();
  return (
    <Tr>
      <Td className="max-w-72">
        <span className="font-medium wrap-anywhere">{user.email}</span>
        {user.id === me?.id ? <span className="ml-2 text-xs text-muted">{users.you}</span> : null}
        {user.name ? <span className="block text-xs text-muted">{user.name}</span> : null}
      </Td>
      <Td>
        <span className="inline-flex flex-wrap gap-1.5">
          {user.role === 'admin' ? <Badge tone="busy">{users.roles.admin}</Badge> : <Badge>{users.roles.user}</Badge>}
          {user.totpConfirmedAt ? <Badge tone="good">{users.totp}</Badge> : null}
          {user.suspendedAt ? <Badge tone="bad">{users.suspended}</Badge> : null}
          {user.invitedUntil ? <Badge tone="warn">{isInvited(user) ? users.pending : users.resetPending}</Badge> : null}
        </span>
      </Td>
      <Td aside className="text-[0.8125rem] tabular-nums">
        {users.instancesOf(user.instances, user.quotas.instances ?? null)}
      </Td>
      <Td aside className="whitespace-nowrap text-muted">
        {user.lastSeenAt ? <When at={user.lastSeenAt} /> : users.never}
      </Td>
      <Td aside className="whitespace-nowrap text-muted">
        <When at={user.createdAt} />
      </Td>
      <Td className="w-px text-right">
        <UserMenu user={user} self={user.id === me?.id} onLink={onLink} />
      </Td>
    </Tr>
  );
}
