import { CircleAlert, CircleCheck, Info, Moon, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import { cn } from '@/lib/cn';

const STYLES = {
  asleep: { box: 'bg-ink/5', icon: 'text-muted', Icon: Moon },
  busy: { box: 'bg-busy-soft', icon: 'text-busy', Icon: Info },
  good: { box: 'bg-good-soft', icon: 'text-good', Icon: CircleCheck },
  warn: { box: 'bg-warn-soft', icon: 'text-warn', Icon: TriangleAlert },
  bad: { box: 'bg-bad-soft', icon: 'text-bad', Icon: CircleAlert },
};

type NoticeProps = {
  tone: keyof typeof STYLES;
  title: ReactNode;
  children?: ReactNode;
  action?: ReactNode;
  className?: string;
};

/** Something that one should know here. */
export function Notice({ tone, title, children, action, className }: NoticeProps) {
  const { box, icon, Icon } = STYLES[tone];
  return (
    <div className={cn('flex flex-wrap items-start gap-x-3 gap-y-2 rounded-xl px-4 py-3', box, className)}>
      <Icon aria-hidden className={cn('mt-0.5 size-4 shrink-0', icon)} />
      <div className="min-w-48 flex-1 break-words">
        <p className="font-medium">{title}</p>
        {children ? <div className="mt-0.5 text-[0.8125rem] text-ink/85">{children}</div> : null}
      </div>
      {action ? <div className="flex shrink-0 gap-2">{action}</div> : null}
    </div>
  );
}
