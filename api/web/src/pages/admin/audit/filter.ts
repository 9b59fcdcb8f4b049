import type { Schemas } from '@/api/contract';
import type { AuditSearch } from './search';

/** A change, as far as it is looked at here. */
export type Entry = Omit<Schemas['AuditEntry'], 'detail'> & { detail: object };

const DAY_MS = 24 * 3_600_000;
const SPAN_MS = { day: DAY_MS, week: 7 * DAY_MS, month: 30 * DAY_MS };

/** Since when entries are wanted, in milliseconds; 0: since ever. */
export function sinceMs({ span }: AuditSearch, now: number): number {
  return span ? now - SPAN_MS[span] : 0;
}

/** Whether an entry is one that is looked for. Words are found anywhere, in whatever case. */
export function matches(entry: Entry, search: AuditSearch, now: number): boolean {
  const has = (text: string, word: string | undefined) => !word || text.toLowerCase().includes(word.toLowerCase());
  return (
    has(entry.actor, search.actor) &&
    has(entry.action, search.action) &&
    has(`${entry.targetKind} ${entry.targetId}`, search.target) &&
    (!search.outcome || entry.outcome === search.outcome) &&
    Date.parse(entry.at) >= sinceMs(search, now)
  );
}

/** Whether older entries can still be among those that are looked for: they come newest first. */
export function goesOn(last: Entry | undefined, search: AuditSearch, now: number): boolean {
  return last === undefined || Date.parse(last.at) >= sinceMs(search, now);
}

/** What of it the server can look for: whole words, the outcome, and how far back. The rest is looked for here. */
export function serverFilter(search: AuditSearch, now: number) {
  const { actor, action, outcome, span } = search;
  return {
    // Unlike a part of it, a whole address is found by the server.
    ...(actor && /^[^@\s]+@[^@\s]+\.[a-z]{2,}$/i.test(actor) ? { actor } : {}),
    ...(action && /^[a-z_]+\.[a-z_]+$/.test(action) ? { action } : {}),
    ...(outcome ? { outcome } : {}),
    ...(span ? { from: new Date(sinceMs(search, now)).toISOString() } : {}),
  };
}
