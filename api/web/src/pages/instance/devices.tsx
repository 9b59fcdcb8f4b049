import { useQuery } from '@tanstack/react-query';
import { MonitorSmartphone } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import type { Schemas } from '@/api/contract';
import { type DeviceAct, devicesQuery, isAsleep, useDeviceAct, useInstance } from '@/api/instances';
import { LoadFailed, PageLoading } from '@/components/state';
import { toast } from '@/components/toasts';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card, CardHead } from '@/components/ui/card';
import { Dialog } from '@/components/ui/dialog';
import { Empty } from '@/components/ui/empty';
import { Notice } from '@/components/ui/notice';
import { wordsFor } from '@/lib/errors';
import { useFormat, useNow } from '@/lib/format';
import { useTexts } from '@/texts';
import { StartButton } from './start-button';
import { useInstanceId } from './use-id';

type Device = Schemas['PendingDevice'] | Schemas['PairedDevice'];

/** Which browsers and apps may use the instance, and which ask to. */
export function Devices() {
  const id = useInstanceId();
  const { devices: words } = useTexts().instance;
  const instance = useInstance(id).data;
  const running = instance?.status === 'running';
  const devices = useQuery({ ...devicesQuery(id), enabled: running, refetchInterval: 10_000 });
  if (!running) {
    return (
      <Card>
        <Empty
          icon={MonitorSmartphone}
          title={instance && isAsleep(instance) ? words.asleep : words.notRunning}
          action={instance ? <StartButton instance={instance} /> : null}
        />
      </Card>
    );
  }
  if (devices.isError && !devices.data) {
    return (
      <Card>
        <LoadFailed error={devices.error} onRetry={() => void devices.refetch()} />
      </Card>
    );
  }
  if (!devices.data) return <PageLoading />;
  const { pending, paired, leftOut } = devices.data;
  return (
    <div className="space-y-5">
      {leftOut ? <Notice tone="warn" title={words.leftOut(leftOut)} /> : null}
      <Card>
        <CardHead title={words.title} text={words.text} className="pb-3" />
        {pending.length ? (
          <ul className="divide-y border-t">
            {pending.map((device) => (
              <Waiting key={device.requestId} device={device} />
            ))}
          </ul>
        ) : (
          <Empty icon={MonitorSmartphone} title={words.none} text={words.noneText} />
        )}
      </Card>
      <Card>
        <CardHead title={words.paired} text={words.pairedText} className="pb-3" />
        {paired.length ? (
          <ul className="divide-y border-t">
            {paired.map((device) => (
              <Paired key={device.deviceId} device={device} />
            ))}
          </ul>
        ) : (
          <p className="px-5 pb-5 text-muted">{words.nonePaired}</p>
        )}
      </Card>
    </div>
  );
}

/** What a device calls itself. It is the device's own word. */
function nameOf(device: Device, unknown: string): string {
  return [device.clientId, device.platform].filter(Boolean).join(' · ') || unknown;
}

function useAct(device: Device) {
  const texts = useTexts();
  const words = texts.instance.devices;
  const { mutate, isPending, variables } = useDeviceAct(useInstanceId());
  const name = nameOf(device, words.unknown);
  const done = { approve: words.approved, reject: words.rejected, remove: words.removed };
  const act = (asked: DeviceAct, onDone?: () => void) =>
    mutate(asked, {
      onSuccess: () => {
        toast.success(done[asked.act](name));
        onDone?.();
      },
      onError: (error) => toast.error(texts.errors.toast(words[asked.act]), wordsFor(error, texts)),
    });
  return { act, name, busy: isPending ? variables?.act : undefined };
}

function Waiting({ device }: { device: Schemas['PendingDevice'] }) {
  const { devices: words } = useTexts().instance;
  const format = useFormat();
  const now = useNow();
  const { act, name, busy } = useAct(device);
  const { requestId } = device;
  return (
    <Line
      name={name}
      words={[device.remoteIp, device.requestedAt && words.asked(format.relative(device.requestedAt, now))]}
    >
      <Button
        size="sm"
        variant="outline"
        disabled={Boolean(busy)}
        busy={busy === 'reject'}
        onClick={() => act({ act: 'reject', requestId })}
      >
        {words.reject}
      </Button>
      <Button
        size="sm"
        disabled={Boolean(busy)}
        busy={busy === 'approve'}
        onClick={() => act({ act: 'approve', requestId })}
      >
        {words.approve}
      </Button>
    </Line>
  );
}

function Paired({ device }: { device: Schemas['PairedDevice'] }) {
  const texts = useTexts();
  const { devices: words } = texts.instance;
  const format = useFormat();
  const now = useNow();
  const [asking, setAsking] = useState(false);
  const { act, name, busy } = useAct(device);
  return (
    <Line
      name={name}
      badge={device.connected ? <Badge tone="good">{words.connected}</Badge> : null}
      words={[
        device.remoteIp,
        device.role,
        !device.connected && device.lastSeenAt && words.seen(format.relative(device.lastSeenAt, now)),
      ]}
    >
      <Button size="sm" variant="dangerOutline" onClick={() => setAsking(true)}>
        {words.remove}
      </Button>
      <Dialog
        open={asking}
        onOpenChange={setAsking}
        title={words.removeTitle}
        text={words.removeText}
        actions={
          <>
            <Button variant="ghost" onClick={() => setAsking(false)}>
              {texts.common.cancel}
            </Button>
            <Button
              variant="danger"
              busy={busy === 'remove'}
              onClick={() => act({ act: 'remove', deviceId: device.deviceId }, () => setAsking(false))}
            >
              {words.remove}
            </Button>
          </>
        }
      >
        <p className="font-medium">{name}</p>
      </Dialog>
    </Line>
  );
}

type LineProps = { name: string; badge?: ReactNode; words: unknown[]; children: ReactNode };

function Line({ name, badge, words, children }: LineProps) {
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 px-5 py-3">
      <div className="min-w-0 flex-1">
        <p className="flex items-center gap-2">
          <span className="truncate font-medium">{name}</span>
          {badge}
        </p>
        <p className="truncate text-[0.8125rem] text-muted">{words.filter(Boolean).join(' · ')}</p>
      </div>
      <div className="flex gap-2">{children}</div>
    </li>
  );
}
