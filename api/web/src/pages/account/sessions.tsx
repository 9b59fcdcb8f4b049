import { useMutation, useQuery } from '@tanstack/react-query';
import { sessionsQuery } from '@/api/auth';
import { call, client } from '@/api/client';
import type { Session } from '@/api/contract';
import { queryClient } from '@/api/query-client';
import { LoadFailed, PageLoading } from '@/components/state';
import { toast } from '@/components/toasts';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card, CardHead } from '@/components/ui/card';
import { wordsFor } from '@/lib/errors';
import { useFormat, useNow } from '@/lib/format';
import { useTexts } from '@/texts';

/** The browsers in which one is signed in. */
export function Sessions() {
  const { sessions: words } = useTexts().account;
  const sessions = useQuery(sessionsQuery);
  return (
    <Card>
      <CardHead title={words.title} text={words.text} className="pb-3" />
      {sessions.isError && !sessions.data ? (
        <LoadFailed error={sessions.error} onRetry={() => void sessions.refetch()} />
      ) : !sessions.data ? (
        <PageLoading />
      ) : (
        <ul className="divide-y border-t">
          {sessions.data.items.map((session) => (
            <Row key={session.id} session={session} />
          ))}
        </ul>
      )}
    </Card>
  );
}

const BROWSERS: [RegExp, string][] = [
  [/Edg\//, 'Edge'],
  [/Firefox\//, 'Firefox'],
  [/Chrom(e|ium)\//, 'Chrome'],
  [/Safari\//, 'Safari'],
];
const SYSTEMS: [RegExp, string][] = [
  [/Android/, 'Android'],
  [/iPhone|iPad/, 'iOS'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'macOS'],
  [/Linux/, 'Linux'],
];

/** The first that is in what a browser says of itself. */
function named(agent: string, names: [RegExp, string][]): string | undefined {
  return names.find(([pattern]) => pattern.test(agent))?.[1];
}

function Row({ session }: { session: Session }) {
  const texts = useTexts();
  const { sessions: words } = texts.account;
  const format = useFormat();
  const now = useNow();
  const end = useMutation({
    mutationFn: () => call(client.DELETE('/api/sessions/{id}', { params: { path: { id: session.id } } })),
    onSuccess: () => toast.success(words.ended),
    onError: (error) => toast.error(texts.errors.toast(words.end), wordsFor(error, texts)),
    onSettled: () => queryClient.invalidateQueries({ queryKey: sessionsQuery.queryKey }),
  });
  const agent = session.userAgent ?? '';
  const [browser, system] = [named(agent, BROWSERS), named(agent, SYSTEMS)];
  return (
    <li className="flex items-center gap-4 px-5 py-3">
      <div className="min-w-0 flex-1">
        <p className="flex items-center gap-2 font-medium">
          {browser && system ? words.browser(browser, system) : words.unknown}
          {session.current ? <Badge tone="good">{words.current}</Badge> : null}
        </p>
        <p className="truncate text-[0.8125rem] text-muted">
          {[session.clientIp, session.lastSeenAt && words.seen(format.relative(session.lastSeenAt, now))]
            .filter(Boolean)
            .join(' · ')}
        </p>
      </div>
      {session.current ? null : (
        <Button size="sm" variant="outline" busy={end.isPending} onClick={() => end.mutate()}>
          {words.end}
        </Button>
      )}
    </li>
  );
}
