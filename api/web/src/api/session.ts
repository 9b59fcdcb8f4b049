// Who is signed in. The cookie that says so is not readable here; `/api/me` is asked.
import { queryOptions, useQuery } from '@tanstack/react-query';
import { ApiError, call, client } from './client';
import type { Schemas } from './contract';
import { queryClient } from './query-client';

export type User = Schemas['User'];

/** The person who is signed in; null: nobody. */
export const meQuery = queryOptions({
  queryKey: ['me'],
  staleTime: 60_000,
  queryFn: async ({ signal }): Promise<User | null> => {
    try {
      return await call(client.GET('/api/me', { signal }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
});

/** The person who is signed in; pages below the layout have one. */
export function useMe(): User | undefined {
  return useQuery(meQuery).data ?? undefined;
}

/** Somebody has signed in: nothing that was seen before counts any more. */
export function signedIn(user: User): void {
  queryClient.clear();
  queryClient.setQueryData(meQuery.queryKey, user);
}

/** Nobody is signed in any more. */
export function signedOut(): void {
  queryClient.clear();
  queryClient.setQueryData(meQuery.queryKey, null);
}

let ended = false;

/** Whether somebody was signed in on this page, and is not any more without having signed out here. */
export function hasEnded(): boolean {
  return ended;
}

/** A call that was refused because the sign-in or the role has ended: then the session is asked for anew, and pages follow. */
export function watchSession(): () => void {
  let known: User | null = null;
  const refused = (error: unknown) => {
    if (!(error instanceof ApiError) || !queryClient.getQueryData(meQuery.queryKey)) return;
    if (error.status === 401 || error.code === 'admin_only') {
      void queryClient.invalidateQueries({ queryKey: meQuery.queryKey });
    }
  };
  const stops = [
    queryClient.getQueryCache().subscribe((event) => {
      if (event.type !== 'updated') return;
      if (event.action.type === 'error') refused(event.action.error);
      if (event.action.type !== 'success' || event.query.queryKey[0] !== 'me') return;
      const me = event.query.state.data as User | null;
      // What is set by hand is what somebody did here.
      ended = !me && !event.action.manual && (ended || known !== null);
      known = me;
    }),
    queryClient.getMutationCache().subscribe((event) => {
      if (event.type === 'updated' && event.action.type === 'error') refused(event.action.error);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
