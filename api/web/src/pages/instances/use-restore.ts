import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { call, client, isProblem } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { deletedQuery } from '@/api/deleted';
import { instancesQuery, noteInstance } from '@/api/instances';
import { toast } from '@/components/toasts';
import { isAtFields, wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';
import { useDeletedTexts } from './deleted-texts';

export type Deleted = Schemas['DeletedInstance'];

/** Restores a deleted instance. Asks for another name when its own is in use by now. */
export function useRestore(instance: Deleted) {
  const texts = useTexts();
  const words = useDeletedTexts();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [renaming, setRenaming] = useState(false);
  const restore = useMutation({
    mutationFn: (name: string | undefined) =>
      call(
        client.POST('/api/instances/{id}/undelete', {
          params: { path: { id: instance.id } },
          body: name === undefined ? {} : { name },
        }),
      ),
    onSuccess: (accepted) => {
      noteInstance(accepted.instance);
      toast.success(words.restored(accepted.instance.name));
      void navigate({ to: '/instances/$id', params: { id: instance.id } });
    },
    onError: (error) => {
      if (isProblem(error, 'name_taken')) setRenaming(true);
      else if (!isAtFields(error)) toast.error(words.failed(instance.name), wordsFor(error, texts));
    },
    onSettled: () => {
      void queries.invalidateQueries({ queryKey: deletedQuery.queryKey });
      void queries.invalidateQueries({ queryKey: instancesQuery.queryKey });
    },
  });
  return { restore, renaming, stopRenaming: () => setRenaming(false) };
}
