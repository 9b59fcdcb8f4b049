import { useMutation, useQueryClient } from '@tanstack/react-query';
import { toast } from '@/components/toasts';
import { isAtFields, wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';

type Change<A, T> = {
  run: (argument: A) => Promise<T>;
  /** What is said once it is done; nothing: the page shows it. */
  done?: (answer: T, argument: A) => string;
  /** What is said when it is not. */
  failed: string;
  onDone?: (answer: T, argument: A) => void;
};

/** A change that an administrator makes. Whatever comes of it, what the pages show is asked for anew. */
export function useChange<A = void, T = unknown>({ run, done, failed, onDone }: Change<A, T>) {
  const queries = useQueryClient();
  const texts = useTexts();
  return useMutation({
    mutationFn: run,
    onSuccess: (answer, argument) => {
      if (done) toast.success(done(answer, argument));
      onDone?.(answer, argument);
    },
    onError: (error) => {
      // What is wrong with single fields stands at these fields.
      toast.error(failed, isAtFields(error) ? undefined : wordsFor(error, texts));
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['admin'] }),
  });
}
