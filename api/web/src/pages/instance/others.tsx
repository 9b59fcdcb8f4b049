import { Notice } from '@/components/ui/notice';
import { useTexts } from '@/texts';

/** What an administrator may do with somebody else's instance, and what not. */
export function Others() {
  const { others } = useTexts().instance;
  return (
    <Notice tone="busy" title={others.title}>
      {others.text}
    </Notice>
  );
}
