import { useQuery } from '@tanstack/react-query';
import { ArrowRight, ArrowUpCircle, History, Undo2 } from 'lucide-react';
import { useState } from 'react';
import type { Schemas } from '@/api/contract';
import { changesQuery, isBlocked, useInstance, useRollback } from '@/api/instances';
import { LoadFailed, PageLoading } from '@/components/state';
import { toast } from '@/components/toasts';
import { Badge, type Tone } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { Dialog } from '@/components/ui/dialog';
import { Empty } from '@/components/ui/empty';
import { Notice } from '@/components/ui/notice';
import { When } from '@/components/when';
import { wordsFor } from '@/lib/errors';
import { span, useFormat } from '@/lib/format';
import { useTexts } from '@/texts';
import { UpdateDialog } from './update-dialog';
import { useInstanceId } from './use-id';

type Change = Schemas['ChangeView'];

const TONES: Record<Change['status'], Tone> = {
  changing: 'busy',
  kept: 'good',
  rolled_back: 'warn',
  stuck: 'bad',
  unknown: 'neutral',
};

/** Which OpenClaw it has, what was changed, and the way back. */
export function Versions() {
  const id = useInstanceId();
  const { instance: words } = useTexts();
  const { versions } = words;
  const instance = useInstance(id).data;
  const changes = useQuery({ ...changesQuery(id), refetchInterval: 15_000 });
  const [updating, setUpdating] = useState(false);
  if (!instance) return null;
  return (
    <div className="space-y-5">
      <Card>
        <CardHead
          title={versions.current}
          action={
            <Button
              variant={instance.updateAvailable || instance.vulnerable ? 'primary' : 'outline'}
              disabled={isBlocked(instance)}
              onClick={() => setUpdating(true)}
            >
              <ArrowUpCircle aria-hidden />
              {words.actions.update}
            </Button>
          }
        />
        <CardBody className="space-y-4">
          <p className="text-2xl font-semibold tracking-tight">
            {instance.openclawVersion ? `OpenClaw ${instance.openclawVersion}` : versions.none}
          </p>
          {instance.vulnerable ? (
            <Notice tone="warn" title={words.vulnerable.title}>
              {words.vulnerable.text}
            </Notice>
          ) : instance.updateAvailable ? (
            <Notice
              tone="busy"
              title={
                instance.latestVersion
                  ? words.updateAvailable.title(instance.latestVersion)
                  : words.updateAvailable.titleUnknown
              }
            >
              {words.updateAvailable.text}
            </Notice>
          ) : (
            <p className="text-muted">{versions.newest}</p>
          )}
        </CardBody>
      </Card>
      <Card>
        <CardHead title={versions.history} text={versions.historyText} className="pb-3" />
        {changes.isError && !changes.data ? (
          <LoadFailed error={changes.error} onRetry={() => void changes.refetch()} />
        ) : !changes.data ? (
          <PageLoading />
        ) : changes.data.items.length ? (
          <ul className="divide-y border-t">
            {changes.data.items.map((change) => (
              <ChangeRow key={change.id} change={change} name={instance.name} busy={isBlocked(instance)} />
            ))}
          </ul>
        ) : (
          <Empty icon={History} title={versions.historyEmpty} />
        )}
      </Card>
      <UpdateDialog instance={instance} open={updating} onClose={() => setUpdating(false)} />
    </div>
  );
}

function ChangeRow({ change, name, busy }: { change: Change; name: string; busy: boolean }) {
  const texts = useTexts();
  const { versions: words, settings } = texts.instance;
  const format = useFormat();
  const [asking, setAsking] = useState(false);
  const what = change.changedSettings?.map((setting) => settings.changed[setting]).join(', ') ?? words.settingsUnknown;
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 px-5 py-3">
      <div className="min-w-0 flex-1">
        <p className="flex flex-wrap items-center gap-2">
          <span className="font-medium">{words.reasons[change.reason]}</span>
          {change.reason === 'settings' ? (
            <span className="text-muted">{what}</span>
          ) : (
            <span className="inline-flex items-center gap-1.5 text-muted">
              {change.fromVersion ?? texts.common.unknown}
              <ArrowRight aria-hidden className="size-3.5" />
              {change.toVersion ?? texts.common.unknown}
            </span>
          )}
          <Badge tone={TONES[change.status]}>{words.statuses[change.status]}</Badge>
        </p>
        <p className="mt-0.5 text-[0.8125rem] text-muted">
          <When at={change.createdAt} />
          {change.downMs ? ` · ${words.down(span(change.downMs))}` : null}
          {change.canRollBack && change.expiresAt ? ` · ${words.backUntil(format.moment(change.expiresAt))}` : null}
          {change.status === 'rolled_back' ? ` · ${words.rolledBackText}` : null}
          {change.status === 'stuck' ? ` · ${words.stuckText}` : null}
        </p>
      </div>
      {change.canRollBack ? (
        <>
          <Button size="sm" variant="outline" disabled={busy} onClick={() => setAsking(true)}>
            <Undo2 aria-hidden />
            {words.back}
          </Button>
          <RollbackDialog change={change} name={name} open={asking} onClose={() => setAsking(false)} />
        </>
      ) : null}
    </li>
  );
}

type RollbackProps = { change: Change; name: string; open: boolean; onClose: () => void };

function RollbackDialog({ change, name, open, onClose }: RollbackProps) {
  const texts = useTexts();
  const { versions: words, accepted, failed } = texts.instance;
  const rollback = useRollback(useInstanceId());
  return (
    <Dialog
      open={open}
      onOpenChange={onClose}
      title={words.backTitle}
      text={words.backText(change.fromVersion ?? words.unknownVersion)}
      actions={
        <>
          <Button variant="ghost" onClick={onClose}>
            {texts.common.cancel}
          </Button>
          <Button
            variant="danger"
            busy={rollback.isPending}
            onClick={() =>
              rollback.mutate(undefined, {
                onSuccess: () => {
                  toast.success(accepted.rollback(name));
                  onClose();
                },
                onError: (error) => toast.error(failed.rollback(name), wordsFor(error, texts)),
              })
            }
          >
            {words.back}
          </Button>
        </>
      }
    />
  );
}
