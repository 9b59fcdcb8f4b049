import type { Schemas } from '@/api/contract';
import { readText } from '../jobs/search';

type Status = Schemas['InstanceStatus'];

/** How instances can be, and the statuses that count as that. */
export const STATES = {
  running: ['running'],
  stopped: ['stopped'],
  working: ['pending', 'provisioning', 'starting', 'stopping', 'updating', 'deleting'],
  error: ['error'],
} as const satisfies Record<string, Status[]>;
export type State = keyof typeof STATES;
export const STATE_NAMES = Object.keys(STATES) as State[];

/** Which instances are shown, as the address says it. */
export type InstancesSearch = { q?: string; state?: State };

/** Reads the address; what makes no sense there is left out. */
export function readInstancesSearch(search: Record<string, unknown>): InstancesSearch {
  const q = readText(search.q);
  const state = STATE_NAMES.find((one) => one === search.state);
  return { ...(q ? { q } : {}), ...(state ? { state } : {}) };
}
