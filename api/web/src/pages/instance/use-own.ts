import type { Instance } from '@/api/instances';
import { useMe } from '@/api/session';

/** Whether it is the reader's own. Administrators may run others', but not see into them. */
export function useIsOwn({ ownerId }: Pick<Instance, 'ownerId'>): boolean {
  const me = useMe();
  return !me || me.id === ownerId;
}
