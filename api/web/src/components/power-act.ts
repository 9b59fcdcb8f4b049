import { type Instance, isAsleep, type Power, usePower } from '@/api/instances';
import { toast } from '@/components/toasts';
import { wordsFor } from '@/lib/errors';
import { useTexts } from '@/texts';

/** Starts, stops or restarts an instance and says so. */
export function usePowerAct(instance: Instance): (power: Power) => void {
  const texts = useTexts();
  const { mutate } = usePower(instance.id);
  return (power) =>
    mutate(power, {
      onSuccess: () => {
        // One that sleeps is stopped already.
        const accepted = power === 'stop' && isAsleep(instance) ? 'stayStopped' : power;
        toast.success(texts.instance.accepted[accepted](instance.name));
      },
      onError: (error) => toast.error(texts.instance.failed[power](instance.name), wordsFor(error, texts)),
    });
}
