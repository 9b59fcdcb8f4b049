import { onlineManager } from '@tanstack/react-query';
import { afterEach, expect, it } from 'vitest';
import { queryClient } from './query-client';

afterEach(() => onlineManager.setOnline(true));

it('asks without an internet, which the panel may do without', async () => {
  onlineManager.setOnline(false);
  const queryFn = async () => 'an answer';
  expect(await queryClient.fetchQuery({ queryKey: ['offline'], queryFn })).toBe('an answer');
  const change = queryClient.getMutationCache().build(queryClient, { mutationFn: queryFn });
  expect(await change.execute(undefined)).toBe('an answer');
});
