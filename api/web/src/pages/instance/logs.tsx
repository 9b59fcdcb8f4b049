import { Download } from 'lucide-react';
import { useDeferredValue, useEffect, useMemo, useState } from 'react';
import type { LogLine } from '@/api/contract';
import { isWorking, useInstance } from '@/api/instances';
import { follow, keepFollowing } from '@/api/stream';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { Notice } from '@/components/ui/notice';
import { SearchInput } from '@/components/ui/search-input';
import { plain } from '@/lib/ansi';
import { useFormat } from '@/lib/format';
import { Ring } from '@/lib/ring';
import { useTexts } from '@/texts';
import { LogLines } from './log-lines';
import { StartButton } from './start-button';
import { useInstanceId } from './use-id';

/** Lines that are asked for at first, and kept at most. */
const TAIL = 500;
const MOST = 20_000;
/** Lines that come within this time are shown together, in milliseconds. */
const TOGETHER_MS = 100;

type State = 'connecting' | 'live' | 'lost' | 'ended';

/** What the gateway prints. */
export function Logs() {
  const id = useInstanceId();
  const { instance: all, common } = useTexts();
  const { logs: words } = all;
  const format = useFormat();
  const instance = useInstance(id).data;
  const { ring, state } = useLog(id, instance?.status === 'running');
  const [following, setFollowing] = useState(true);
  const [search, setSearch] = useState('');
  const sought = useDeferredValue(search.trim().toLowerCase());
  const lines = useMemo(
    () => (sought ? ring.items.filter((line) => line.text.toLowerCase().includes(sought)) : ring.items),
    [ring, sought],
  );
  const count = format.number(lines.length);
  const empty = state === 'connecting' ? common.loading : sought ? words.noMatch : words.empty;
  return (
    <div className="space-y-4">
      {instance && instance.status !== 'running' && !isWorking(instance) ? (
        <Notice tone="busy" title={words.notRunning} action={<StartButton instance={instance} />} />
      ) : null}
      <Card className="overflow-hidden">
        <div className="flex flex-wrap items-center gap-2 border-b px-3 py-2.5">
          <SearchInput
            label={words.search}
            className="min-w-40 flex-1 sm:max-w-xs"
            value={search}
            onChange={setSearch}
          />
          <span className="text-[0.8125rem] text-muted" role={sought ? 'status' : undefined}>
            {sought ? words.found(count, format.number(ring.items.length)) : words.lines(lines.length, count)}
          </span>
          <span className="ml-auto flex items-center gap-2" role="status">
            {state === 'live' ? <Badge tone="good">{words.live}</Badge> : null}
            {state === 'lost' ? <Badge tone="warn">{words.reconnecting}</Badge> : null}
            {state === 'ended' ? <Badge>{words.ended}</Badge> : null}
          </span>
          <Button
            variant="outline"
            size="sm"
            aria-pressed={following}
            className="aria-pressed:bg-ink/7"
            onClick={() => setFollowing(!following)}
          >
            {words.follow}
          </Button>
          <Button asChild variant="outline" size="sm">
            <a href={`/api/instances/${id}/logs?tail=10000`} download={`${id}.log`}>
              <Download aria-hidden />
              {words.download}
            </a>
          </Button>
        </div>
        <LogLines lines={lines} sought={sought} empty={empty} following={following} onFollow={setFollowing} />
      </Card>
    </div>
  );
}

/** The log as far as it came, and whether more comes. */
function useLog(id: string, running: boolean): { ring: Ring<LogLine>; state: State } {
  const [ring, setRing] = useState(() => new Ring<LogLine>());
  const [state, setState] = useState<State>('connecting');
  useEffect(() => {
    const leave = new AbortController();
    let waiting: LogLine[] = [];
    const show = () => {
      if (!waiting.length) return;
      const lines = waiting;
      waiting = [];
      setRing((before) => before.push(lines, MOST));
    };
    const timer = setInterval(show, TOGETHER_MS);
    setRing(new Ring());
    setState('connecting');
    const ended = () => {
      show();
      if (!leave.signal.aborted) setState('ended');
    };
    // What one that is stopped has printed is all there is to come. One that runs and ends is started again.
    const listen = running ? keepFollowing : follow;
    listen(`/api/instances/${id}/logs?follow=true&tail=${TAIL}`, {
      signal: leave.signal,
      onState: (open) => setState(open ? 'live' : 'lost'),
      onEvent: (event) => {
        if (event.name === 'end') return true;
        if (event.name !== 'line') return false;
        const line = JSON.parse(event.data) as LogLine;
        waiting.push({ ...line, text: plain(line.text) });
        return false;
      },
    }).then(ended, ended);
    return () => {
      leave.abort();
      clearInterval(timer);
    };
  }, [id, running]);
  return { ring, state };
}
