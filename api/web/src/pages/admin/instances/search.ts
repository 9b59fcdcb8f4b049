/** Which instances are shown, as the address says it. */
export type InstancesSearch = { q?: string };

/** Reads the address; what makes no sense there is left out. */
export function readInstancesSearch(search: Record<string, unknown>): InstancesSearch {
  const q = typeof search.q === 'string' || typeof search.q === 'number' ? String(search.q).trim().slice(0, 200) : '';
  return q ? { q } : {};
}
