import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Play } from 'lucide-react';
import { ApiError, call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { Badge, type Tone } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card, CardBody } from '@/components/ui/card';
import { When } from '@/components/when';
import { span } from '@/lib/format';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { Heading } from '../parts/heading';
import { Loaded } from '../parts/loaded';
import { useChange } from '../parts/use-change';
import { useAdminTexts } from '../texts';

const EVERY_MS = 5_000;
const KEY = ['admin', 'reconcile'];
const TONES: Record<Schemas['FindingAction'], Tone> = { repaired: 'good', reported: 'warn', watching: 'busy' };

/** Where rows and the world differ, and what is done about it. */
export function ReconcilerPage() {
  const { reconciler } = useAdminTexts();
  const queries = useQueryClient();
  const query = useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => call(client.GET('/api/admin/reconcile', { signal })),
    refetchInterval: EVERY_MS,
  });
  const run = useChange({
    run: () => call(client.POST('/api/admin/reconcile')),
    done: ({ items }) => reconciler.done(items.reduce((sum, sweep) => sum + sweep.findings.length, 0)),
    failed: reconciler.failed,
    onDone: (page) => queries.setQueryData(KEY, page),
  });
  const unfinished = run.error instanceof ApiError && run.error.code === 'reconcile_unfinished';
  return (
    <>
      <Heading
        title={reconciler.title}
        text={reconciler.text}
        actions={
          <Button busy={run.isPending} onClick={() => run.mutate()}>
            <Play aria-hidden />
            {reconciler.run}
          </Button>
        }
      />
      {run.isPending || unfinished ? (
        <p role="status" className="mb-3 text-muted">
          {unfinished ? reconciler.unfinished : reconciler.running}
        </p>
      ) : null}
      <Loaded query={query} rows={6}>
        {({ items }) => (
          <ul className="space-y-3">
            {items.map((sweep) => (
              <li key={sweep.name}>
                <SweepCard sweep={sweep} />
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </>
  );
}

function SweepCard({ sweep }: { sweep: Schemas['Sweep'] }) {
  const { reconciler } = useAdminTexts();
  const clean = sweep.findings.length === 0 && !sweep.error && sweep.ranAt;
  return (
    <Card>
      <CardBody className="space-y-2.5">
        <div className="flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1">
          <h3 className="font-semibold tracking-tight">
            {reconciler.names[sweep.name]}
            <span className="ml-2 font-normal text-muted">{reconciler.about[sweep.name]}</span>
          </h3>
          <p className="text-xs text-muted">
            {sweep.ranAt ? (
              <>
                {reconciler.checked(sweep.checked)}
                {sweep.durationMs == null ? '' : ` · ${span(sweep.durationMs)}`} · <When at={sweep.ranAt} />
              </>
            ) : (
              reconciler.never
            )}
          </p>
        </div>
        {clean ? <p className="text-[0.8125rem] text-good">{reconciler.clean}</p> : null}
        {sweep.error ? <p className="text-[0.8125rem] text-bad">{sweep.error}</p> : null}
        <Findings findings={sweep.findings} />
        {sweep.repairedAt && sweep.repairs.length > 0 ? (
          <details className="text-[0.8125rem]">
            <summary className="cursor-pointer text-muted">
              {reconciler.lastRepair} <When at={sweep.repairedAt} />
            </summary>
            <div className="mt-2">
              <Findings findings={sweep.repairs} />
            </div>
          </details>
        ) : null}
      </CardBody>
    </Card>
  );
}

function Findings({ findings }: { findings: Schemas['Finding'][] }) {
  const { reconciler } = useAdminTexts();
  const { common } = useTexts();
  if (findings.length === 0) return null;
  return (
    <ul className="space-y-1.5 text-[0.8125rem]">
      {findings.map((finding) => (
        <li key={`${finding.code} ${finding.subject}`} className="flex flex-wrap items-baseline gap-x-2 gap-y-1">
          <Badge tone={TONES[finding.action]}>{wordFor(reconciler.actions, finding.action, common.unknown)}</Badge>
          <span className="font-mono text-xs">{finding.subject}</span>
          <span className="text-muted">{finding.message}</span>
        </li>
      ))}
    </ul>
  );
}
