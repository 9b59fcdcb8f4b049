import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { ArrowUpCircle, ExternalLink } from 'lucide-react';
import type { ReactNode } from 'react';
import {
  devicesQuery,
  type Instance,
  isAsleep,
  isBlocked,
  isStuck,
  requestsInterval,
  useEdit,
  useInstance,
} from '@/api/instances';
import { instanceJobsQuery, isStuckChange, jobQuery } from '@/api/jobs';
import { useMe } from '@/api/session';
import { JobCard } from '@/components/job-card';
import { usePowerAct } from '@/components/power-act';
import { toast } from '@/components/toasts';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { CopyButton } from '@/components/ui/copy';
import { Notice } from '@/components/ui/notice';
import { When } from '@/components/when';
import { wordsFor } from '@/lib/errors';
import { bytes, cores, MIB, useNow } from '@/lib/format';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { JobRow } from './activity';
import { Others } from './others';
import { SecretLine } from './secret-line';
import { recentWake } from './sleep';
import { SleepNotice, Woke } from './sleep-notice';
import { useInstanceId } from './use-id';
import { useIsOwn } from './use-own';

const RECENT = 4;

export function Overview() {
  const instance = useInstance(useInstanceId()).data;
  const own = useIsOwn({ ownerId: instance?.ownerId ?? '' });
  if (!instance) return null;
  return (
    <div className="grid gap-5 lg:grid-cols-[minmax(0,1fr)_20rem]">
      <div className="min-w-0 space-y-5">
        {own ? null : <Others />}
        <SleepNotice instance={instance} />
        <Notices instance={instance} own={own} />
        {instance.currentJob ? (
          <JobCard key={instance.currentJob.id} id={instance.currentJob.id} />
        ) : (
          <Failed instance={instance} />
        )}
        {own ? <Access instance={instance} /> : null}
        <Recent instance={instance} />
      </div>
      <Facts instance={instance} />
    </div>
  );
}

/** What should be looked at. */
function Notices({ instance, own }: { instance: Instance; own: boolean }) {
  const texts = useTexts();
  const { vulnerable, updateAvailable, pending, settings, waitingDevices } = texts.instance;
  const edit = useEdit(instance.id);
  const params = { id: instance.id };
  const devices = useQuery({
    ...devicesQuery(instance.id),
    enabled: own && instance.status === 'running' && !instance.currentJob,
    refetchInterval: ({ state }) => requestsInterval(state.data),
    retry: false,
  });
  const waiting = instance.status === 'running' ? (devices.data?.pending.length ?? 0) : 0;
  const toVersions = (
    <Button asChild size="sm" variant="outline">
      <Link to="/instances/$id/versions" params={params}>
        <ArrowUpCircle aria-hidden />
        {texts.instance.actions.update}
      </Link>
    </Button>
  );
  return (
    <>
      {waiting ? (
        <Notice
          tone="warn"
          title={waitingDevices.title(waiting)}
          action={
            <Button asChild size="sm" variant="outline">
              <Link to="/instances/$id/devices" params={params}>
                {waitingDevices.look}
              </Link>
            </Button>
          }
        >
          {waitingDevices.text}
        </Notice>
      ) : null}
      {instance.vulnerable ? (
        <Notice tone="warn" title={vulnerable.title} action={toVersions}>
          {vulnerable.text}
        </Notice>
      ) : instance.updateAvailable && !isBlocked(instance) ? (
        <Notice
          tone="busy"
          title={instance.latestVersion ? updateAvailable.title(instance.latestVersion) : updateAvailable.titleUnknown}
          action={toVersions}
        >
          {updateAvailable.text}
        </Notice>
      ) : null}
      {instance.pendingChanges.length && !instance.currentJob && !isStuck(instance) ? (
        <Notice
          tone="busy"
          title={pending.title}
          action={
            <Button
              size="sm"
              variant="outline"
              busy={edit.isPending}
              onClick={() =>
                edit.mutate(
                  { applyNow: true },
                  {
                    onSuccess: () => toast.success(settings.savedNow),
                    onError: (error) => toast.error(texts.errors.toast(pending.apply), wordsFor(error, texts)),
                  },
                )
              }
            >
              {pending.apply}
            </Button>
          }
        >
          {pending.text(instance.pendingChanges.map((setting) => settings.changed[setting]).join(', '))}
        </Notice>
      ) : null}
    </>
  );
}

/** Why it does not run: the last job that failed, with its steps, or else what was seen of the instance. */
function Failed({ instance }: { instance: Instance }) {
  const { instance: words } = useTexts();
  const act = usePowerAct(instance);
  const isAdmin = useMe()?.role === 'admin';
  const last = useQuery(instanceJobsQuery(instance.id, RECENT)).data?.items[0];
  const details = useQuery({ ...jobQuery(last?.id ?? ''), enabled: last?.status === 'failed' });
  const retry = isStuck(instance) ? null : (
    <Button size="sm" onClick={() => act('start')}>
      {words.actions.retry}
    </Button>
  );
  const toJob = (jobId: string) => (
    <Button asChild size="sm" variant="outline">
      <Link to="/admin/jobs/$jobId" params={{ jobId }}>
        {words.stuck.toJob}
      </Link>
    </Button>
  );
  if (last && isStuckChange(last)) {
    const kind = last.kind as keyof typeof words.failed;
    return (
      <JobCard
        key={last.id}
        id={last.id}
        failedTitle={words.failed[kind]?.(instance.name)}
        failedText={words.stuck.text}
        actions={isAdmin ? toJob(last.id) : null}
      />
    );
  }
  if (last?.status === 'failed' && (instance.status === 'error' || details.data)) {
    const kind = last.kind as keyof typeof words.failed;
    const unharmed = instance.status !== 'error' && ['update', 'rollback', 'recreate'].includes(last.kind);
    return (
      <JobCard
        key={last.id}
        id={last.id}
        failedTitle={words.failed[kind]?.(instance.name)}
        {...(unharmed ? { failedText: words.unharmed } : {})}
        actions={instance.status === 'error' ? retry : null}
      />
    );
  }
  if (instance.status !== 'error' || !instance.error) return null;
  return (
    <Notice tone="bad" title={instance.error.message} action={retry}>
      <code className="font-mono text-xs">{instance.error.code}</code>
    </Notice>
  );
}

function Access({ instance }: { instance: Instance }) {
  const { access } = useTexts().instance;
  return (
    <Card>
      <CardHead title={access.title} text={access.text} />
      <CardBody>
        {(instance.status === 'running' || isAsleep(instance)) && instance.dashboardUrl ? (
          <dl className="space-y-4">
            <Line label={access.url}>
              <div className="flex min-w-0 items-center gap-1">
                <a
                  href={instance.dashboardUrl}
                  target="_blank"
                  rel="noopener noreferrer"
                  className="flex min-w-0 flex-1 items-center gap-1.5 link"
                >
                  <span className="truncate">{instance.dashboardUrl}</span>
                  <ExternalLink aria-hidden className="size-3.5 shrink-0" />
                </a>
                <CopyButton value={instance.dashboardUrl} what={access.url} />
              </div>
            </Line>
            {instance.gatewayToken ? (
              <Line label={access.token} help={access.tokenHelp}>
                <SecretLine value={instance.gatewayToken} what={access.token} />
              </Line>
            ) : null}
          </dl>
        ) : (
          <p className="text-muted">{isAsleep(instance) ? access.asleep : access.notRunning}</p>
        )}
      </CardBody>
    </Card>
  );
}

function Line({ label, help, children }: { label: string; help?: string; children: ReactNode }) {
  return (
    <div>
      <dt className="text-[0.8125rem] font-medium">{label}</dt>
      <dd className="mt-1">
        <div className="rounded-lg border bg-sunken/60 py-1 pr-1 pl-3">{children}</div>
        {help ? <p className="mt-1.5 text-[0.8125rem] text-muted">{help}</p> : null}
      </dd>
    </div>
  );
}

function Facts({ instance }: { instance: Instance }) {
  const { instance: words, create, common } = useTexts();
  const { facts, sleep } = words;
  const wake = recentWake(instance, useNow());
  const rows: [string, ReactNode][] = [
    [
      facts.id,
      <span key="id" className="flex items-center justify-end gap-1">
        <code className="font-mono text-[0.8125rem]">{instance.id}</code>
        <span className="-my-2 -mr-2">
          <CopyButton value={instance.id} what={facts.id} />
        </span>
      </span>,
    ],
    [facts.version, instance.openclawVersion ?? common.unknown],
    [
      facts.channel,
      instance.channel === 'none' ? common.none : wordFor(create.channels, instance.channel, common.unknown),
    ],
    [
      facts.provider,
      instance.aiProvider === 'none' ? common.none : wordFor(create.providers, instance.aiProvider, common.unknown),
    ],
    [facts.limits, facts.limitsOf(bytes(instance.memoryMb * MIB), create.cores(cores(instance.cpuMillis)))],
    [facts.status, <When key="status" at={instance.statusChangedAt} />],
    ...(wake ? [[sleep.wokeUp, <Woke key="woke" wake={wake} />] satisfies [string, ReactNode]] : []),
    [facts.created, <When key="created" at={instance.createdAt} />],
  ];
  return (
    <Card className="self-start">
      <CardHead title={facts.title} />
      <CardBody className="pt-2">
        <dl className="divide-y">
          {rows.map(([label, value]) => (
            <div key={label} className="flex items-baseline justify-between gap-4 py-2">
              <dt className="text-muted">{label}</dt>
              <dd className="min-w-0 text-right">{value}</dd>
            </div>
          ))}
        </dl>
      </CardBody>
    </Card>
  );
}

function Recent({ instance }: { instance: Instance }) {
  const { instance: words } = useTexts();
  const jobs = useQuery(instanceJobsQuery(instance.id, RECENT)).data?.items;
  if (!jobs?.length) return null;
  return (
    <Card>
      <CardHead
        title={words.recent}
        action={
          <Link to="/instances/$id/activity" params={{ id: instance.id }} className="text-[0.8125rem] link">
            {words.allActivity}
          </Link>
        }
      />
      <ul className="mt-2 divide-y border-t">
        {jobs.map((job) => (
          <JobRow key={job.id} job={job} />
        ))}
      </ul>
    </Card>
  );
}
