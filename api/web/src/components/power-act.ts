import { type Instance, type Power, usePower } from '@/api/instances';
import { toast } from '@/components/toasts';
import { wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';

/** Starts, stops or restarts an instance and says so. */
export function usePowerAct(instance: Pick<Instance, 'id' | 'name'>): (power: Power) => void {
  const texts = useTexts();
  const { mutate } = usePower(instance.id);
  return (power) =>
    mutate(power, {
      onSuccess: () => toast.success(texts.instance.accepted[power](instance.name)),
      onError: (error) => toast.error(texts.instance.failed[power](instance.name), wordsFor(error, texts)),
    });
}
