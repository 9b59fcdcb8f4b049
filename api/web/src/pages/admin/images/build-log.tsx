import { useQueryClient } from '@tanstack/react-query';
import { BuildLog } from '@/components/build-log';

/** What a build prints; when it is over, builds are asked for anew. */
export function LogOfBuild({ buildId }: { buildId: string }) {
  const queries = useQueryClient();
  return (
    <BuildLog
      from={`/api/admin/images/${encodeURIComponent(buildId)}/log`}
      onEnd={() => void queries.invalidateQueries({ queryKey: ['admin', 'images'] })}
    />
  );
}
