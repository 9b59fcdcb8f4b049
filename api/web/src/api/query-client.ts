import { QueryClient } from '@tanstack/react-query';
import { ApiError } from './client';

/** Asking again is for what may pass, and not for ever. */
const RETRIES = 2;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // Browsers tell of the internet, and the panel may be on this very machine: asked is always, and a failure is shown.
      networkMode: 'always',
      staleTime: 2_000,
      retry: (failures, error) => failures < RETRIES && error instanceof ApiError && error.transient,
      // After a laptop's sleep or a lost network everything that is shown is asked for anew.
      refetchOnReconnect: 'always',
      refetchOnWindowFocus: true,
    },
    // A change is never repeated by itself: only a person knows whether it is still wanted.
    mutations: { networkMode: 'always', retry: false },
  },
});
