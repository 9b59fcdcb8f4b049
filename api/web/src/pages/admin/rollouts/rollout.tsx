import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { KeepsFocus } from '@/components/keeps-focus';
import { BackLink } from '@/components/ui/back-link';
import { Badge, type Tone } from '@/components/ui/badge';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { Notice } from '@/components/ui/notice';
import { Progress } from '@/components/ui/progress';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { Actions } from '../jobs/actions';
import { Fact } from '../parts/heading';
import { JobStatus } from '../parts/job-status';
import { Loaded } from '../parts/loaded';
import { useAdminTexts } from '../texts';
import { type Wave, waves } from './waves';

const EVERY_MS = 2_000;
const TONES: Record<Schemas['MemberStatus'], Tone> = {
  waiting: 'neutral',
  updating: 'busy',
  updated: 'good',
  failed: 'bad',
  skipped: 'warn',
};

/** One update of everything, wave by wave. */
export function RolloutPage() {
  const { rollouts } = useAdminTexts();
  const { jobId } = useParams({ from: '/layout/admin/rollouts/$jobId' });
  const query = useQuery({
    queryKey: ['admin', 'rollouts', jobId],
    queryFn: ({ signal }) =>
      call(client.GET('/api/admin/update-all/{id}', { signal, params: { path: { id: jobId } } })),
    refetchInterval: ({ state }) => (state.data?.job.finishedAt ? false : EVERY_MS),
  });
  return (
    <>
      <BackLink to="/admin/rollouts">{rollouts.back}</BackLink>
      <Loaded query={query}>{(rollout) => <Rollout rollout={rollout} />}</Loaded>
    </>
  );
}

function Rollout({ rollout }: { rollout: Schemas['Rollout'] }) {
  const texts = useTexts();
  const { rollouts, jobs } = useAdminTexts();
  const { job } = rollout;
  const name = wordFor(texts.jobs.kinds, job.kind, texts.jobs.newer);
  return (
    <KeepsFocus className="space-y-5">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h2 className="flex flex-wrap items-center gap-2.5 text-base font-semibold tracking-tight">
          {name} <JobStatus status={job.status} />
        </h2>
        <Actions job={job} />
      </div>
      {job.status === 'running' ? <Progress value={job.progress} label={texts.jobs.progress(name)} /> : null}
      {job.error ? <Notice tone="bad" title={job.error.message} /> : null}
      {job.dependsOn && job.status === 'queued' ? (
        <Notice
          tone="busy"
          title={rollouts.waitsForBuild}
          action={
            <Link to="/admin/jobs/$jobId" params={{ jobId: job.dependsOn }} className="text-link hover:underline">
              {rollouts.toBuild}
            </Link>
          }
        />
      ) : null}
      <Card>
        <CardBody>
          <dl className="grid grid-cols-2 gap-x-4 gap-y-3 sm:grid-cols-5">
            <Tally name={rollouts.statuses.updated} value={rollout.updated} />
            <Tally name={rollouts.statuses.updating} value={rollout.updating} />
            <Tally name={rollouts.statuses.waiting} value={rollout.waiting} />
            <Tally name={rollouts.statuses.failed} value={rollout.failed} />
            <Tally name={rollouts.statuses.skipped} value={rollout.skipped} />
          </dl>
        </CardBody>
      </Card>
      {rollout.members.length === 0 ? (
        <p className="text-muted">{job.finishedAt ? rollouts.nobody : rollouts.notChosen}</p>
      ) : (
        waves(rollout.members).map((wave) => <WaveCard key={wave.wave} wave={wave} />)
      )}
      <p>
        <Link to="/admin/jobs/$jobId" params={{ jobId: job.id }} className="link">
          {jobs.toStory}
        </Link>
      </p>
    </KeepsFocus>
  );
}

function Tally({ name, value }: { name: string; value: number }) {
  return (
    <Fact name={name}>
      <span className="text-xl font-semibold tabular-nums">{value}</span>
    </Fact>
  );
}

function WaveCard({ wave: { wave, members, over } }: { wave: Wave }) {
  const { rollouts } = useAdminTexts();
  const { common } = useTexts();
  return (
    <Card>
      <CardHead
        title={rollouts.wave(wave + 1, members.length)}
        level={3}
        action={over ? <Badge>{rollouts.over}</Badge> : null}
      />
      <CardBody>
        <ul className="grid gap-x-6 gap-y-2 sm:grid-cols-2 lg:grid-cols-3">
          {members.map((member) => (
            <li key={member.instanceId} className="min-w-0">
              <span className="flex items-center justify-between gap-2">
                {member.updateJobId ? (
                  <Link
                    to="/admin/jobs/$jobId"
                    params={{ jobId: member.updateJobId }}
                    title={member.instanceId}
                    className="truncate link"
                  >
                    {member.name ?? member.instanceId}
                  </Link>
                ) : (
                  <span className="truncate" title={member.instanceId}>
                    {member.name ?? member.instanceId}
                  </span>
                )}
                <Badge tone={TONES[member.status]}>{wordFor(rollouts.statuses, member.status, common.unknown)}</Badge>
              </span>
              {member.fault ? (
                <p className="mt-0.5 text-xs">{wordFor(rollouts.faults, member.fault, common.unknown)}</p>
              ) : null}
              {member.errorMessage ? <p className="mt-0.5 text-xs text-bad">{member.errorMessage}</p> : null}
            </li>
          ))}
        </ul>
      </CardBody>
    </Card>
  );
}
