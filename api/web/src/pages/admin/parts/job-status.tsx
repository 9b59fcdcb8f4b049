import type { Schemas } from '@/api/contract';
import { Badge, type Tone } from '@/components/ui/badge';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';

const TONES: Record<Schemas['JobStatus'], Tone> = {
  queued: 'neutral',
  running: 'busy',
  succeeded: 'good',
  failed: 'bad',
  cancelled: 'warn',
};

export function JobStatus({ status }: { status: Schemas['JobStatus'] }) {
  const { jobs, common } = useTexts();
  return <Badge tone={TONES[status]}>{wordFor(jobs.statuses, status, common.unknown)}</Badge>;
}
