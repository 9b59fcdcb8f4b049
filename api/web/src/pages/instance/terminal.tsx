import { useParams } from '@tanstack/react-router';
import { TerminalPanel } from '@/terminal/panel';

export function Terminal() {
  const { id } = useParams({ from: '/layout/instances/$id' });
  return <TerminalPanel instanceId={id} />;
}
