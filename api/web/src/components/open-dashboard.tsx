import { ExternalLink } from 'lucide-react';
import { lazy, Suspense } from 'react';
import type { Instance } from '@/api/instances';
import { toast } from '@/components/toasts';
import { wordsFor } from '@/lib/errors';
import { useOpenDashboard } from '@/lib/open-dashboard';
import { useTexts } from '@/texts';
import { Button } from './ui/button';

const DashboardBlocked = lazy(() => import('./dashboard-blocked'));

type OpenDashboardProps = { instance: Instance; size?: 'sm' | 'md'; variant?: 'primary' | 'outline'; short?: boolean };

/** One click that opens the dashboard, signed in. */
export function OpenDashboard({ instance, size = 'md', variant = 'primary', short }: OpenDashboardProps) {
  const texts = useTexts();
  const words = texts.instance;
  const open = useOpenDashboard(instance);
  const link = open.data?.blocked;
  return (
    <>
      <Button
        size={size}
        variant={variant}
        busy={open.isPending}
        aria-label={short ? texts.instances.open(instance.name) : undefined}
        onClick={() =>
          open.mutate(undefined, {
            onError: (error) => toast.error(words.failed.open(instance.name), wordsFor(error, texts)),
          })
        }
      >
        <ExternalLink aria-hidden />
        {short ? texts.instances.openShort : words.actions.open}
      </Button>
      {link ? (
        <Suspense>
          <DashboardBlocked link={link} onClose={() => open.reset()} />
        </Suspense>
      ) : null}
    </>
  );
}
