import type { Schemas } from '@/api/contract';
import { Badge, type Tone } from '@/components/ui/badge';
import { useTexts } from '@/texts';

const TONES: Record<Schemas['JobStatus'], Tone> = {
  queued: 'neutral',
  running: 'busy',
  succeeded: 'good',
  failed: 'bad',
  cancelled: 'warn',
};

export function JobStatus({ status }: { status: Schemas['JobStatus'] }) {
  const { jobs } = useTexts();
  return <Badge tone={TONES[status]}>{jobs.statuses[status] ?? status}</Badge>;
}
