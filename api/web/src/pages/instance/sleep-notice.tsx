import { type Instance, isAsleep } from '@/api/instances';
import { Notice } from '@/components/ui/notice';
import { useFormat, useNow } from '@/lib/format';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { StartButton } from './start-button';

/** That it sleeps, and what wakes it. */
export function SleepNotice({ instance }: { instance: Instance }) {
  const { sleep } = useTexts().instance;
  const format = useFormat();
  const now = useNow();
  if (!isAsleep(instance) || !instance.asleep || instance.currentJob) return null;
  const { since, wakesAt } = instance.asleep;
  return (
    <Notice tone="asleep" title={sleep.title} action={<StartButton instance={instance} />}>
      <p>{sleep.text(format.ago(since, now))}</p>
      {/* What is due is not over, whatever this machine's clock says. */}
      {wakesAt ? (
        <p>{sleep.schedule(format.relative(wakesAt, Math.min(now, Date.parse(wakesAt))), format.moment(wakesAt))}</p>
      ) : null}
    </Notice>
  );
}

/** When it woke and why, if that is a reason that this page knows. */
export function Woke({ wake }: { wake: NonNullable<Instance['lastWake']> }) {
  const { sleep } = useTexts().instance;
  const format = useFormat();
  const now = useNow();
  const time = format.ago(wake.at, now);
  const why = wordFor(sleep.by, wake.by, '');
  return (
    <time dateTime={wake.at} title={format.moment(wake.at)}>
      {why ? sleep.woke(time, why) : time}
    </time>
  );
}
