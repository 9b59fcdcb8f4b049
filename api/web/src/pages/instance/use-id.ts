import { useParams } from '@tanstack/react-router';

/** Id of the instance that is looked at. */
export function useInstanceId(): string {
  return useParams({ from: '/layout/instances/$id' }).id;
}
