import { useQuery } from '@tanstack/react-query';
import { ChartLine } from 'lucide-react';
import { useEffect, useMemo, useState } from 'react';
import { call, client } from '@/api/client';
import type { UsagePoint } from '@/api/contract';
import { isWorking, useInstance } from '@/api/instances';
import { keepFollowing } from '@/api/stream';
import { LoadFailed, PageLoading } from '@/components/state';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { Notice } from '@/components/ui/notice';
import { Select } from '@/components/ui/select';
import { bytes, cores } from '@/lib/format';
import { useTexts } from '@/texts';
import { Chart } from './chart';
import { rate, series } from './series';
import { StartButton } from './start-button';
import { useInstanceId } from './use-id';

const HOUR_MS = 3_600_000;
const RANGES = ['1', '6', '24'] as const;
/** Of what comes each second, one in so many milliseconds is soon enough to look at. */
const LIVE_MS = 5_000;
/** How many of them are kept: until the history, which has a point a minute and is asked for as often, has them. */
const LIVE_MOST = 30;

/** What the instance has used, for a day, and what it uses now. */
export function Usage() {
  const id = useInstanceId();
  const { usage: words } = useTexts().instance;
  const { create } = useTexts();
  const instance = useInstance(id).data;
  const running = instance?.status === 'running';
  const [chosen, setHours] = useState<(typeof RANGES)[number]>();
  // The first minutes of a new one would be a speck on six hours.
  const young = instance ? Date.now() - Date.parse(instance.createdAt) < HOUR_MS : false;
  const hours = chosen ?? (young ? '1' : '6');
  const history = useQuery({
    queryKey: ['usage', id],
    queryFn: ({ signal }) =>
      call(client.GET('/api/instances/{id}/usage/history', { params: { path: { id } }, signal })),
    refetchInterval: 60_000,
  });
  const now = useLiveUsage(id, running);
  const points = useMemo(() => {
    const known = history.data?.points ?? [];
    const last = known.at(-1);
    // What is there already is not put twice.
    return [...known, ...now.filter((one) => !last || one.at > last.at)];
  }, [history.data, now]);

  if (history.isPending) return <PageLoading />;
  if (history.isError && !history.data) {
    return (
      <Card>
        <LoadFailed error={history.error} onRetry={() => void history.refetch()} />
      </Card>
    );
  }
  if (!points.length || !instance) {
    return (
      <Card>
        <Empty icon={ChartLine} title={words.empty} action={instance ? <StartButton instance={instance} /> : null} />
      </Card>
    );
  }
  const last = points.at(-1);
  const limit = last?.memoryLimitBytes || instance.memoryMb * 1024 * 1024;
  const span = { from: Date.now() - Number(hours) * HOUR_MS, to: Date.now() };
  const perSecond = (value: number) => words.perSecond(bytes(value));
  return (
    <div className="space-y-4">
      {running || isWorking(instance) ? null : (
        <Notice tone="busy" title={words.notRunning} action={<StartButton instance={instance} />} />
      )}
      <div className="flex justify-end">
        <Select
          aria-label={words.range}
          className="w-36"
          value={hours}
          onChange={setHours}
          options={RANGES.map((value) => ({ value, label: words.hours(Number(value)) }))}
        />
      </div>
      <div className="grid gap-4 lg:grid-cols-2">
        <Chart
          title={words.cpu}
          text={words.cpuText(create.cores(cores(instance.cpuMillis)))}
          lines={[{ points: series(points, (one) => one.cpuPercent) }]}
          format={(value) => `${value.toFixed(value < 10 ? 1 : 0)}%`}
          {...span}
        />
        <Chart
          title={words.memory}
          text={words.memoryText(bytes(limit))}
          lines={[{ points: series(points, (one) => one.memoryBytes) }]}
          top={limit}
          format={bytes}
          {...span}
        />
        <Chart
          title={words.network}
          lines={[
            { name: words.received, points: rate(points, (one) => one.networkRxBytes) },
            { name: words.sent, points: rate(points, (one) => one.networkTxBytes) },
          ]}
          format={perSecond}
          {...span}
        />
        <Chart
          title={words.disk}
          lines={[{ points: series(points, (one) => one.diskBytes) }]}
          format={bytes}
          {...span}
        />
      </div>
    </div>
  );
}

/** The newest measurements, oldest first. */
function useLiveUsage(id: string, running: boolean): readonly UsagePoint[] {
  const [live, setLive] = useState<readonly UsagePoint[]>([]);
  useEffect(() => {
    setLive([]);
    if (!running) return;
    const leave = new AbortController();
    let shown = 0;
    const onEvent = (event: { name: string; data: string }) => {
      if (event.name === 'end') return true;
      if (event.name !== 'usage' || Date.now() - shown < LIVE_MS) return false;
      shown = Date.now();
      const usage = JSON.parse(event.data) as UsagePoint;
      setLive((before) => [...before, usage].slice(-LIVE_MOST));
      return false;
    };
    void keepFollowing(`/api/instances/${id}/usage`, { signal: leave.signal, onEvent });
    return () => leave.abort();
  }, [id, running]);
  return live;
}
