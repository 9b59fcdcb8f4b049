import { call, client } from '@/api/client';
import { usePages } from '@/components/pages';

/** Everybody who has an account, page by page, newest first. */
export function usePeople() {
  return usePages(
    ['admin', 'users'],
    (cursor, signal) => call(client.GET('/api/admin/users', { signal, params: { query: cursor ? { cursor } : {} } })),
    15_000,
  );
}
