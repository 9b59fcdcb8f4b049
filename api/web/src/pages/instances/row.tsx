import { Link } from '@tanstack/react-router';
import { ShieldAlert } from 'lucide-react';
import { memo } from 'react';
import type { Instance } from '@/api/instances';
import { OpenDashboard } from '@/components/open-dashboard';
import { PowerMenu } from '@/components/power-menu';
import { StatusBadge } from '@/components/status';
import { Badge } from '@/components/ui/badge';
import { Progress } from '@/components/ui/progress';
import { bytes, cores, MIB } from '@/lib/format';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { Sparks } from './sparks';
import type { Usage } from './usage';

/** Height of a row, in pixels: all are alike, so that nothing jumps. */
export const ROW = 76;

/** Drawn anew only where something of it has changed: the list is asked for each few seconds, and scrolled. */
export const Row = memo(function Row({ instance, usage }: { instance: Instance; usage: Usage | undefined }) {
  const { instances: words, jobs } = useTexts();
  const job = instance.currentJob;
  return (
    <div className="group relative flex h-full items-center gap-3 px-4 transition-colors hover:bg-sunken/70 sm:gap-4 sm:px-5">
      <div className="min-w-0 flex-1">
        <div className="flex items-center gap-2.5">
          <Link
            to="/instances/$id"
            params={{ id: instance.id }}
            className="truncate font-medium outline-offset-4 after:absolute after:inset-0"
          >
            {instance.name}
          </Link>
          <StatusBadge instance={instance} />
          {instance.vulnerable ? (
            <Badge tone="warn" className="max-sm:hidden">
              <ShieldAlert aria-hidden className="size-3" />
              {words.vulnerable}
            </Badge>
          ) : instance.updateAvailable ? (
            <Badge className="max-sm:hidden">{words.updateTo(instance.latestVersion ?? null)}</Badge>
          ) : null}
        </div>
        {job ? (
          <Progress
            className="mt-2.5 max-w-72"
            value={job.progress}
            label={jobs.progress(wordFor(jobs.doing, job.kind, jobs.newer))}
          />
        ) : instance.error ? (
          <p className="mt-1 truncate text-[0.8125rem] text-bad">{instance.error.message}</p>
        ) : (
          <p className="mt-1 truncate text-[0.8125rem] text-muted">
            <span className="font-mono text-xs">{instance.id}</span>
            <span className="mx-2 text-line-strong" aria-hidden>
              ·
            </span>
            {instance.openclawVersion ? words.version(instance.openclawVersion) : words.noVersion}
            <span className="max-md:hidden">
              <span className="mx-2 text-line-strong" aria-hidden>
                ·
              </span>
              {words.limits(bytes(instance.memoryMb * MIB), cores(instance.cpuMillis))}
            </span>
          </p>
        )}
      </div>
      <Sparks instance={instance} usage={usage} />
      <div className="relative flex items-center gap-1">
        <OpenDashboard instance={instance} size="sm" variant="outline" short className="max-sm:hidden" />
        <PowerMenu instance={instance} />
      </div>
    </div>
  );
});
