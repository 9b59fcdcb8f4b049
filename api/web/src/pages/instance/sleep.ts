// What there is to say about an instance's sleep.
import type { Instance } from '@/api/instances';
import type { Texts } from '@/texts';

const DAY_MS = 24 * 60 * 60_000;

/** The last wake, while it is of interest: for a day, and as long as the instance has not slept again. */
export function recentWake(
  { status, lastWake }: Pick<Instance, 'status' | 'lastWake'>,
  now: number,
): NonNullable<Instance['lastWake']> | null {
  return lastWake && status === 'running' && now - Date.parse(lastWake.at) < DAY_MS ? lastWake : null;
}

/** The times that one chooses from, in minutes; 0: never. */
const MINUTES = [0, 15, 30, 60, 240, 1440];

/** What is chosen if the server's default applies. */
export const DEFAULT = 'default';

/** A time in words, in the largest unit that says it exactly. */
function idleWords(minutes: number, words: Texts['instance']['settings']): string {
  if (minutes === 0) return words.sleepNever;
  if (minutes % 1440 === 0) return words.days(minutes / 1440);
  return minutes % 60 === 0 ? words.hours(minutes / 60) : words.minutes(minutes);
}

/** What can be chosen. The default's time is known only where it applies. */
export function sleepOptions(
  { sleepMinutes, sleepsAfterMinutes }: Pick<Instance, 'sleepMinutes' | 'sleepsAfterMinutes'>,
  words: Texts['instance']['settings'],
): { value: string; label: string }[] {
  const own = sleepMinutes ?? null;
  const minutes = own === null || MINUTES.includes(own) ? MINUTES : [...MINUTES, own].sort((one, other) => one - other);
  const usual = sleepsAfterMinutes
    ? words.sleepDefaultOf(idleWords(sleepsAfterMinutes, words))
    : words.sleepDefaultNever;
  return [
    { value: DEFAULT, label: own === null ? usual : words.sleepDefault },
    ...minutes.map((value) => ({ value: String(value), label: idleWords(value, words) })),
  ];
}

/** What is chosen now. */
export function sleepChoice({ sleepMinutes }: Pick<Instance, 'sleepMinutes'>): string {
  return sleepMinutes == null ? DEFAULT : String(sleepMinutes);
}
