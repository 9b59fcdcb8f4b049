import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { call, client } from '@/api/client';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { useAdminTexts } from '../texts';
import { LogOfBuild } from './build-log';

const EVERY_MS = 2_000;

/** What the build of a job prints; nothing before there is one. */
export function BuildOfJob({ jobId, over }: { jobId: string; over: boolean }) {
  const { images } = useAdminTexts();
  const query = useQuery({
    queryKey: ['admin', 'images'],
    queryFn: ({ signal }) => call(client.GET('/api/admin/images', { signal })),
    refetchInterval: over ? false : EVERY_MS,
  });
  const build = query.data?.items.find((one) => one.jobId === jobId);
  if (!build) return null;
  return (
    <Card>
      <CardHead
        title={images.log}
        level={3}
        action={
          <Button asChild size="sm" variant="outline">
            <Link to="/admin/images/$buildId" params={{ buildId: build.id }}>
              {images.toBuild}
            </Link>
          </Button>
        }
      />
      <CardBody>
        <LogOfBuild key={build.id} buildId={build.id} />
      </CardBody>
    </Card>
  );
}
