import type { Schemas } from '@/api/contract';
import { Card, CardBody } from '@/components/ui/card';
import { Notice } from '@/components/ui/notice';
import { When } from '@/components/when';
import { gigabytes } from '@/lib/format';
import { Fact } from '../parts/heading';
import { useAdminTexts } from '../texts';

/** How many instances stand ready for creations, and how often one was. */
export function WarmPoolCard({ pool }: { pool: Schemas['WarmPoolView'] }) {
  const { pool: texts, capacity } = useAdminTexts().workers;
  const { wanted, heldBack, ready, warming, memoryMb, oldestReadyAt, taken, missed } = pool;
  const isOff = wanted === 0 && memoryMb === 0 && heldBack == null;
  return (
    <Card className="mb-4">
      <CardBody className="space-y-4">
        <div className="space-y-1.5">
          <p className="flex flex-wrap justify-between gap-x-4 text-[0.8125rem]">
            <span className="font-medium">{texts.title}</span>
            <span className="tabular-nums">{isOff ? texts.off : texts.ready(ready, wanted)}</span>
          </p>
          <p className="text-xs text-muted">{texts.help}</p>
        </div>
        {heldBack == null ? null : <Notice tone="busy" title={texts.heldBack[heldBack] ?? texts.heldBackOtherwise} />}
        {isOff ? null : (
          <dl className="grid grid-cols-2 gap-x-4 gap-y-3 text-[0.8125rem] sm:grid-cols-4">
            <Fact name={texts.taken}>{taken + missed > 0 ? texts.takenOf(taken, taken + missed) : texts.none}</Fact>
            {warming > 0 ? <Fact name={texts.warming}>{warming}</Fact> : null}
            <Fact name={texts.memory}>{capacity.gigabytes(gigabytes(memoryMb))}</Fact>
            {oldestReadyAt == null ? null : (
              <Fact name={texts.oldest}>
                <When at={oldestReadyAt} />
              </Fact>
            )}
          </dl>
        )}
      </CardBody>
    </Card>
  );
}
