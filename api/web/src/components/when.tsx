import { useFormat, useNow } from '@/lib/format';

/** How long ago, with the exact time for whoever rests on it. */
export function When({ at, className }: { at: string; className?: string }) {
  const format = useFormat();
  const now = useNow();
  return (
    <time dateTime={at} title={format.moment(at)} className={className}>
      {format.ago(at, now)}
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
