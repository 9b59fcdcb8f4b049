import { Eye, EyeOff } from 'lucide-react';
import { useState } from 'react';
import { Button } from '@/components/ui/button';
import { CopyButton } from '@/components/ui/copy';
import { useTexts } from '@/texts';

const MASK = '••••••••••••••••••••••••';

/** A secret: masked until somebody wants to see it, to be copied either way. While it is masked it is not in the page. */
export function SecretLine({ value, what }: { value: string; what: string }) {
  const { common } = useTexts();
  const [shown, setShown] = useState(false);
  const Icon = shown ? EyeOff : Eye;
  const words = shown ? common.hide(what) : common.reveal(what);
  return (
    <div className="flex min-w-0 items-center gap-1">
      <code className="min-w-0 flex-1 overflow-x-auto font-mono text-[0.8125rem] whitespace-nowrap select-all">
        {shown ? value : MASK}
      </code>
      <Button
        variant="ghost"
        size="iconSm"
        aria-label={words}
        aria-pressed={shown}
        title={words}
        onClick={() => setShown(!shown)}
      >
        <Icon aria-hidden />
      </Button>
      <CopyButton value={value} what={what} />
    </div>
  );
}
