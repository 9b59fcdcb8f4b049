import type { Schemas } from '@/api/contract';

export const STATUSES = [
  'queued',
  'running',
  'succeeded',
  'failed',
  'cancelled',
] as const satisfies Schemas['JobStatus'][];
export const KINDS = [
  'provision',
  'start',
  'stop',
  'restart',
  'delete',
  'update',
  'rollback',
  'recreate',
  'restore',
  'rebuild_image',
  'update_all',
  'warm_up',
  'discard',
] as const satisfies Schemas['JobKind'][];

/** Which jobs are shown, as the address says. */
export type JobsSearch = {
  status?: Schemas['JobStatus'][];
  kind?: Schemas['JobKind'];
  owner?: string;
  instance?: string;
  q?: string;
};

/** What of an address can be searched for; the rest of it is passed over. */
export function readJobsSearch(search: Record<string, unknown>): JobsSearch {
  const words = Array.isArray(search.status) ? search.status : [search.status];
  const status = STATUSES.filter((one) => words.includes(one));
  const kind = KINDS.find((one) => one === search.kind);
  const owner = readText(search.owner);
  const instance = readText(search.instance);
  const q = readText(search.q);
  return {
    ...(status.length > 0 ? { status } : {}),
    ...(kind ? { kind } : {}),
    ...(owner ? { owner } : {}),
    ...(instance ? { instance } : {}),
    ...(q ? { q } : {}),
  };
}

/** A word of an address; one that is a number to the router is a word as well. */
export function readText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value).trim().slice(0, 200) : '';
}
