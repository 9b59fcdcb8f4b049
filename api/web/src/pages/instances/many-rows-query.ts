import { queryOptions } from '@tanstack/react-query';

/**
 * The script that draws a long list, which most people never need. Not by `lazy`: what stands in for such a part stays for 300 ms
 * at least, however soon it comes.
 */
export const manyRowsQuery = queryOptions({
  queryKey: ['script', 'many-rows'],
  queryFn: async () => (await import('./many-rows')).ManyRows,
  staleTime: Number.POSITIVE_INFINITY,
  gcTime: Number.POSITIVE_INFINITY,
  throwOnError: true,
});
