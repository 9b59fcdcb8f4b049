import { type Instance, isAsleep, isWorking } from '@/api/instances';

export const FILTERS = ['all', 'running', 'asleep', 'stopped', 'working', 'error', 'update'] as const;
export type Filter = (typeof FILTERS)[number];

/** Whether an instance is of a kind. */
function matches(instance: Instance, filter: Filter): boolean {
  switch (filter) {
    case 'all':
      return true;
    case 'working':
      return isWorking(instance);
    case 'update':
      return instance.updateAvailable || instance.vulnerable;
    case 'asleep':
      return isAsleep(instance);
    case 'stopped':
      return instance.status === 'stopped' && !isAsleep(instance);
    default:
      return instance.status === filter;
  }
}

/** The instances of a kind whose name or id has every word that is searched for. */
export function choose(instances: Instance[], search: string, filter: Filter): Instance[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return instances.filter((instance) => {
    const text = `${instance.name} ${instance.id}`.toLowerCase();
    return matches(instance, filter) && words.every((word) => text.includes(word));
  });
}
