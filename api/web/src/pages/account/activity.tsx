import { Link } from '@tanstack/react-router';
import { ScrollText } from 'lucide-react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { useMe } from '@/api/session';
import { Page } from '@/components/page';
import { More, usePages } from '@/components/pages';
import { LoadFailed, PageLoading } from '@/components/state';
import { BackLink } from '@/components/ui/back-link';
import { Badge } from '@/components/ui/badge';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { When } from '@/components/when';
import { useLanguage } from '@/texts';
import { activity as en } from '@/texts/en/activity';
import { activity as zh } from '@/texts/zh/activity';
import { named } from './activity-words';

type Entry = Schemas['AuditEntry'];

const PAGE = 50;
const EVERY_MS = 15_000;

function useWords(): typeof en {
  return useLanguage().language === 'zh' ? zh : en;
}

/** What one did oneself, and what was done to what is one's own. */
export function ActivityPage() {
  const words = useWords();
  const query = usePages(
    ['audit', 'own'],
    (cursor, signal) =>
      call(client.GET('/api/audit', { signal, params: { query: { limit: PAGE, ...(cursor ? { cursor } : {}) } } })),
    EVERY_MS,
  );
  const entries = query.data?.pages.flatMap((page) => page.items);
  return (
    <>
      <div className="mx-auto w-full max-w-2xl">
        <BackLink to="/profile">{words.back}</BackLink>
      </div>
      <Page title={words.title} text={words.text} narrow>
        <Card>
          {query.isError && !entries ? (
            <LoadFailed error={query.error} onRetry={() => void query.refetch()} />
          ) : !entries ? (
            <PageLoading />
          ) : entries.length === 0 ? (
            <Empty icon={ScrollText} title={words.none} />
          ) : (
            <ol aria-label={words.list} className="divide-y">
              {entries.map((entry) => (
                <Row key={entry.id} entry={entry} />
              ))}
            </ol>
          )}
        </Card>
        <More query={query} />
      </Page>
    </>
  );
}

function Row({ entry }: { entry: Entry }) {
  const words = useWords();
  const me = useMe();
  const asides = [
    entry.actorId === me?.id ? undefined : words.by(entry.actor),
    entry.clientIp ? words.from(entry.clientIp) : undefined,
  ].filter((aside) => aside !== undefined);
  return (
    <li className="flex items-start justify-between gap-4 px-5 py-3">
      <div className="min-w-0">
        <p className="flex flex-wrap items-center gap-x-2">
          <span className="font-medium">{words.actions[entry.action] ?? entry.action}</span>
          {entry.outcome === 'failure' ? <Badge tone="bad">{words.refused}</Badge> : null}
          <Target entry={entry} />
        </p>
        {asides.length ? <p className="text-[0.8125rem] break-words text-muted">{asides.join(' · ')}</p> : null}
      </div>
      <When at={entry.at} className="shrink-0 text-[0.8125rem] text-muted" />
    </li>
  );
}

/** What an entry is about. An instance may be gone by now; its page says so. */
function Target({ entry }: { entry: Entry }) {
  const name = named(entry);
  if (!name) return null;
  if (entry.targetKind !== 'instance') return <span className="min-w-0 truncate">{name}</span>;
  return (
    <Link
      to="/instances/$id"
      params={{ id: entry.targetId }}
      className="min-w-0 truncate underline underline-offset-4 hover:text-muted"
    >
      {name}
    </Link>
  );
}
