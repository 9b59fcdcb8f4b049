import { ExternalLink } from 'lucide-react';
import { lazy, Suspense } from 'react';
import { type Instance, isAsleep } from '@/api/instances';
import { toast } from '@/components/toasts';
import { wordsFor } from '@/lib/errors';
import { useOpenDashboard } from '@/lib/open-dashboard';
import { useTexts } from '@/texts';
import { Button } from './ui/button';
import { Spinner } from './ui/spinner';

const DashboardBlocked = lazy(() => import('./dashboard-blocked'));

type OpenDashboardProps = {
  instance: Instance;
  size?: 'sm' | 'md';
  variant?: 'primary' | 'outline';
  short?: boolean;
  className?: string;
};

/**
 * One click that opens the dashboard, signed in. Nothing, unless the instance runs or sleeps: then the click wakes it. The button
 * stays in its place meanwhile, so that there is something to say how it goes.
 */
export function OpenDashboard({ instance, size = 'md', variant = 'primary', short, className }: OpenDashboardProps) {
  const texts = useTexts();
  const words = texts.instance;
  const open = useOpenDashboard(instance, {
    waking: words.sleep.tab(instance.name),
    onError: (error) => toast.error(words.failed.open(instance.name), wordsFor(error, texts)),
  });
  const link = open.data?.blocked;
  const running = instance.status === 'running';
  const waking = open.isPending && !running;
  return (
    <>
      {waking ? (
        // Unlike a busy button, it says what it does: this takes longer.
        <Button
          size={size}
          variant={variant}
          className={className}
          aria-disabled
          aria-busy
          aria-label={short ? words.sleep.tab(instance.name) : undefined}
        >
          <Spinner />
          {words.actions.waking}
        </Button>
      ) : running || isAsleep(instance) ? (
        <Button
          size={size}
          variant={variant}
          className={className}
          busy={open.isPending}
          aria-label={short ? texts.instances.open(instance.name) : undefined}
          onClick={() => open.mutate()}
        >
          <ExternalLink aria-hidden />
          {short ? texts.instances.openShort : words.actions.open}
        </Button>
      ) : null}
      {link ? (
        <Suspense>
          <DashboardBlocked link={link} onClose={() => open.reset()} />
        </Suspense>
      ) : null}
    </>
  );
}
