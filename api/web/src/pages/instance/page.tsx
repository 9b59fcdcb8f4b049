import { Link, Outlet, useLocation, useNavigate, useParams } from '@tanstack/react-router';
import { ArrowUpCircle, Ellipsis, Play, RotateCw, Square, SquareTerminal, Trash2 } from 'lucide-react';
import { useEffect, useState } from 'react';
import { ApiError } from '@/api/client';
import { type Instance, isAsleep, isBlocked, useInstance } from '@/api/instances';
import { OpenDashboard } from '@/components/open-dashboard';
import { Page } from '@/components/page';
import { usePowerAct } from '@/components/power-act';
import { LoadFailed, PageNotFound } from '@/components/state';
import { StatusBadge } from '@/components/status';
import { BackLink } from '@/components/ui/back-link';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { Menu, MenuItem, MenuSeparator } from '@/components/ui/menu';
import { Skeleton } from '@/components/ui/skeleton';
import { type TabLink, TabLinks } from '@/components/ui/tabs';
import { useTexts } from '@/texts';
import { DeleteDialog } from './delete-dialog';
import { Others } from './others';
import { startName } from './start-button';
import { UpdateDialog } from './update-dialog';
import { useOutcome } from './use-outcome';
import { useIsOwn } from './use-own';

/** An instance: its heading, what can be done to it, and the part that is looked at. */
export function InstancePage() {
  const { id } = useParams({ from: '/layout/instances/$id' });
  const { data: instance, error, refetch } = useInstance(id);
  const gone = error instanceof ApiError && error.status === 404;
  const navigate = useNavigate();
  const known = instance?.name ?? id;
  useOutcome(gone ? undefined : instance, gone, known);
  const own = useIsOwn({ ownerId: instance?.ownerId ?? '' });
  const wasDeleting = instance?.status === 'deleting' || instance?.currentJob?.kind === 'delete';
  useEffect(() => {
    if (gone && wasDeleting) void navigate({ to: own ? '/instances' : '/admin/instances', replace: true });
  }, [gone, wasDeleting, own, navigate]);

  if (gone) return wasDeleting ? null : <PageNotFound />;
  if (!instance) {
    return error ? (
      <Card className="mx-auto max-w-6xl">
        <LoadFailed error={error} onRetry={() => void refetch()} />
      </Card>
    ) : (
      <Loading />
    );
  }
  return <Loaded instance={instance} />;
}

function Loaded({ instance }: { instance: Instance }) {
  const { instance: words } = useTexts();
  const { id, name } = instance;
  const params = { id };
  const own = useIsOwn(instance);
  const { pathname } = useLocation();
  /** What shows the inside of it, and is its owner's alone. */
  const inside: TabLink[] = [
    { to: '/instances/$id/terminal', params, label: words.tabs.terminal },
    { to: '/instances/$id/logs', params, label: words.tabs.logs },
    { to: '/instances/$id/usage', params, label: words.tabs.usage },
    { to: '/instances/$id/devices', params, label: words.tabs.devices },
  ];
  const closed = !own && inside.some(({ to }) => pathname === to?.replace('$id', id));
  return (
    <Page
      title={name}
      heading={
        <>
          <BackLink to={own ? '/instances' : '/admin/instances'} className="mb-2">
            {words.back}
          </BackLink>
          <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5">
            <h1 className="min-w-0 text-xl font-semibold tracking-tight break-words">{name}</h1>
            <span role="status" className="contents">
              <StatusBadge instance={instance} />
            </span>
          </div>
        </>
      }
      actions={<Actions instance={instance} />}
    >
      <TabLinks
        label={words.tabs.label}
        className="mb-6"
        tabs={[
          { to: '/instances/$id', params, label: words.tabs.overview, exact: true },
          ...(own ? inside : []),
          { to: '/instances/$id/settings', params, label: words.tabs.settings },
          { to: '/instances/$id/versions', params, label: words.tabs.versions },
          { to: '/instances/$id/activity', params, label: words.tabs.activity },
        ]}
      />
      {closed ? <Others /> : <Outlet />}
    </Page>
  );
}

function Actions({ instance }: { instance: Instance }) {
  const { instance: words } = useTexts();
  const act = usePowerAct(instance);
  const own = useIsOwn(instance);
  const [dialog, setDialog] = useState<'update' | 'delete' | null>(null);
  const blocked = isBlocked(instance);
  const running = instance.status === 'running';
  const asleep = isAsleep(instance);
  const close = () => setDialog(null);
  return (
    <>
      {own ? <OpenDashboard instance={instance} /> : null}
      {running ? (
        <Button variant="outline" disabled={blocked} onClick={() => act('stop')}>
          <Square aria-hidden />
          {words.actions.stop}
        </Button>
      ) : (
        <Button variant={asleep && own ? 'outline' : 'primary'} disabled={blocked} onClick={() => act('start')}>
          <Play aria-hidden />
          {startName(instance, words.actions)}
        </Button>
      )}
      <Button
        variant="outline"
        busy={instance.currentJob?.kind === 'update'}
        disabled={blocked}
        onClick={() => setDialog('update')}
      >
        <ArrowUpCircle aria-hidden />
        {words.actions.update}
      </Button>
      <Menu
        trigger={
          <Button variant="outline" size="icon" aria-label={words.actions.more}>
            <Ellipsis aria-hidden />
          </Button>
        }
      >
        <MenuItem disabled={!running || blocked} onSelect={() => act('restart')}>
          <RotateCw aria-hidden />
          {words.actions.restart}
        </MenuItem>
        {own ? (
          <MenuItem asChild disabled={!running && !asleep}>
            <Link to="/instances/$id/terminal" params={{ id: instance.id }}>
              <SquareTerminal aria-hidden />
              {words.actions.terminal}
            </Link>
          </MenuItem>
        ) : null}
        <MenuSeparator />
        <MenuItem danger disabled={instance.status === 'deleting'} onSelect={() => setDialog('delete')}>
          <Trash2 aria-hidden />
          {words.actions.delete}
        </MenuItem>
      </Menu>
      <UpdateDialog instance={instance} open={dialog === 'update'} onClose={close} />
      <DeleteDialog instance={instance} open={dialog === 'delete'} onClose={close} />
    </>
  );
}

function Loading() {
  const { common } = useTexts();
  return (
    <div role="status" className="mx-auto max-w-6xl space-y-5">
      <span className="sr-only">{common.loading}</span>
      <Skeleton className="h-7 w-56" />
      <Skeleton className="h-9 w-full" />
      <Skeleton className="h-40 w-full rounded-xl" />
    </div>
  );
}
