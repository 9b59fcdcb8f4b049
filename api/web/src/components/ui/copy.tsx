import { Check, Copy } from 'lucide-react';
import { useEffect, useState } from 'react';
import { toast } from '@/components/toasts';
import { useTexts } from '@/texts';
import { Button } from './button';

/** Puts a text into the clipboard. `what` names it, for the toast and for who cannot see the icon. */
export function CopyButton({ value, what }: { value: string | (() => Promise<string>); what: string }) {
  const { common } = useTexts();
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 2000);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof value === 'string' ? value : await value());
      setDone(true);
      toast.success(common.copied(what));
    } catch {
      // Without HTTPS browsers give no clipboard.
      toast.error(common.copyFailed(what));
    }
  };
  return (
    <Button variant="ghost" size="iconSm" aria-label={common.copy(what)} title={common.copy(what)} onClick={copy}>
      {done ? <Check aria-hidden className="text-good" /> : <Copy aria-hidden />}
    </Button>
  );
}
