import { useQuery } from '@tanstack/react-query';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { Card, CardBody } from '@/components/ui/card';
import { Notice } from '@/components/ui/notice';
import { Progress } from '@/components/ui/progress';
import { Until } from '@/components/when';
import { LEAST_MEMORY_MB } from '@/lib/errors';
import { gigabytes } from '@/lib/format';
import { Fact } from '../parts/heading';
import { useAdminTexts } from '../texts';
import { WarmPoolCard } from './warm-pool-card';

const EVERY_MS = 15_000;

/** Memory of an instance with the usual limit, in MiB. */
const USUAL_MB = 2048;

/** Part of the memory, in percent, from which it is soon used up; the alert in deploy/prometheus is the same. */
const NEARLY_FULL = 90;

/** How much of the server's memory is promised to instances, and when it will be used up. */
export function CapacityCard() {
  const { data } = useQuery({
    queryKey: ['admin', 'capacity'],
    queryFn: ({ signal }) => call(client.GET('/api/admin/capacity', { signal })),
    refetchInterval: EVERY_MS,
  });
  return data ? (
    <>
      <Capacity capacity={data} />
      {data.warmPool ? <WarmPoolCard pool={data.warmPool} /> : null}
    </>
  ) : null;
}

function Capacity({ capacity }: { capacity: Schemas['CapacityView'] }) {
  const { capacity: texts } = useAdminTexts().workers;
  const { memoryMb, reservedMb, limitMb, promisedMb, freeMb, usedMb, instances, asleep, fullAt } = capacity;
  const percent = limitMb == null ? null : limitMb > 0 ? (promisedMb / limitMb) * 100 : 100;
  const isFull = freeMb != null && freeMb < LEAST_MEMORY_MB;
  return (
    <Card className="mb-4">
      <CardBody className="space-y-4">
        <div className="space-y-1.5">
          <p className="flex flex-wrap justify-between gap-x-4 text-[0.8125rem]">
            <span className="font-medium">{texts.title}</span>
            <span className="tabular-nums">
              {limitMb == null
                ? texts.unlimited(gigabytes(promisedMb))
                : texts.of(gigabytes(promisedMb), gigabytes(limitMb))}
            </span>
          </p>
          {percent == null ? null : (
            <Progress
              value={percent}
              label={texts.title}
              tone={isFull ? 'bad' : percent >= NEARLY_FULL ? 'warn' : 'good'}
            />
          )}
          <p className="text-xs text-muted">{texts.help}</p>
        </div>
        {isFull ? (
          <Notice tone="bad" title={texts.full}>
            {texts.fullText}
          </Notice>
        ) : null}
        <dl className="grid grid-cols-2 gap-x-4 gap-y-3 text-[0.8125rem] sm:grid-cols-3 lg:grid-cols-5">
          <Fact name={texts.instances}>{instances}</Fact>
          {asleep > 0 ? <Fact name={texts.asleep}>{asleep}</Fact> : null}
          {freeMb == null ? null : <Fact name={texts.room}>{texts.roomFor(Math.floor(freeMb / USUAL_MB))}</Fact>}
          {usedMb == null ? null : <Fact name={texts.used}>{texts.gigabytes(gigabytes(usedMb))}</Fact>}
          {memoryMb == null || reservedMb == null ? null : (
            <Fact name={texts.server}>{texts.serverOf(gigabytes(memoryMb), gigabytes(reservedMb))}</Fact>
          )}
          {limitMb == null || isFull ? null : (
            <Fact name={texts.forecast}>
              {fullAt == null ? (
                texts.never
              ) : (
                <>
                  {texts.fullAt}
                  <Until at={fullAt} />
                </>
              )}
            </Fact>
          )}
        </dl>
      </CardBody>
    </Card>
  );
}
