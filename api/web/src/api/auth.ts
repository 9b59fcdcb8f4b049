// Signing in, setting up, and what belongs to an account.
import { queryOptions } from '@tanstack/react-query';
import { call, client } from './client';

/** What can be done at the door. */
export const authOptionsQuery = queryOptions({
  queryKey: ['auth', 'options'],
  staleTime: 60_000,
  queryFn: ({ signal }) => call(client.GET('/api/auth/options', { signal })),
});

export const sessionsQuery = queryOptions({
  queryKey: ['sessions'],
  queryFn: ({ signal }) => call(client.GET('/api/sessions', { signal })),
});

export const tokensQuery = queryOptions({
  queryKey: ['tokens'],
  queryFn: ({ signal }) => call(client.GET('/api/tokens', { signal })),
});

export const ownAuditQuery = (limit: number) =>
  queryOptions({
    queryKey: ['audit', limit],
    queryFn: ({ signal }) => call(client.GET('/api/audit', { params: { query: { limit } }, signal })),
  });
