import { useFormat, useNow } from '@/lib/format';

/** How long ago, with the exact time for whoever rests on it. */
export function When({ at, className }: { at: string; className?: string }) {
  const format = useFormat();
  const now = useNow();
  // What has just been is never to come, whatever this machine's clock says.
  const past = Math.max(now, Date.parse(at));
  return (
    <time dateTime={at} title={format.moment(at)} className={className}>
      {format.relative(at, past)}
    </time>
  );
}

/** When something will be, likewise. */
export function Until({ at }: { at: string }) {
  const format = useFormat();
  const now = useNow(1_000);
  return (
    <time dateTime={at} title={format.moment(at)}>
      {format.relative(at, now)}
    </time>
  );
}
