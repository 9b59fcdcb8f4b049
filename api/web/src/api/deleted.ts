// Instances that were deleted and can still be restored.
import { queryOptions } from '@tanstack/react-query';
import { call, client } from './client';

export const deletedQuery = queryOptions({
  queryKey: ['instances', 'deleted'],
  queryFn: ({ signal }) => call(client.GET('/api/instances/deleted', { signal })),
  refetchInterval: 5_000,
});
