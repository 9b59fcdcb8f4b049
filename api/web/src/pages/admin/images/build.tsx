import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { BackLink } from '@/components/ui/back-link';
import { Button } from '@/components/ui/button';
import { Card, CardBody, CardHead } from '@/components/ui/card';
import { Notice } from '@/components/ui/notice';
import { Progress } from '@/components/ui/progress';
import { When } from '@/components/when';
import { bytes, span } from '@/lib/format';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { Fact } from '../parts/heading';
import { Loaded } from '../parts/loaded';
import { useAdminTexts } from '../texts';
import { LogOfBuild } from './build-log';
import { BuildStatus, buildName } from './page';

const EVERY_MS = 3_000;

/** One build of the image, with what it prints. */
export function BuildPage() {
  const { images } = useAdminTexts();
  const { buildId } = useParams({ from: '/layout/admin/images/$buildId' });
  const query = useQuery({
    queryKey: ['admin', 'images', buildId],
    queryFn: ({ signal }) => call(client.GET('/api/admin/images/{id}', { signal, params: { path: { id: buildId } } })),
    refetchInterval: ({ state }) => (state.data && state.data.status !== 'building' ? false : EVERY_MS),
  });
  return (
    <>
      <BackLink to="/admin/images">{images.back}</BackLink>
      <Loaded query={query}>{(build) => <Build build={build} />}</Loaded>
    </>
  );
}

function Build({ build }: { build: Schemas['ImageBuild'] }) {
  const { images } = useAdminTexts();
  const { common } = useTexts();
  return (
    <div className="space-y-5">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h2 className="flex flex-wrap items-center gap-2.5 text-base font-semibold tracking-tight">
          {buildName(build)} <BuildStatus build={build} />
        </h2>
        <Button asChild size="sm" variant="outline">
          <Link to="/admin/jobs/$jobId" params={{ jobId: build.jobId }}>
            {images.toJob}
          </Link>
        </Button>
      </div>
      {build.status === 'building' ? <Progress value={build.progress} label={images.progress} /> : null}
      {build.errorMessage ? <Notice tone="bad" title={build.errorMessage} /> : null}
      <Card>
        <CardBody>
          <dl className="grid gap-x-6 gap-y-4 sm:grid-cols-2 lg:grid-cols-3">
            <Fact name={images.source}>{wordFor(images.sources, build.source, common.unknown)}</Fact>
            {build.reference ? <Fact name={images.reference}>{build.reference}</Fact> : null}
            {build.revision ? (
              <Fact name={images.revision}>
                <span className="font-mono text-xs break-all">{build.revision}</span>
              </Fact>
            ) : null}
            {build.imageId ? (
              <Fact name={images.imageId}>
                <span className="font-mono text-xs break-all">{build.imageId}</span>
              </Fact>
            ) : null}
            <Fact name={images.built}>
              <When at={build.createdAt} />
            </Fact>
            {build.durationMs == null ? null : <Fact name={images.took}>{span(build.durationMs)}</Fact>}
            {build.sizeBytes == null ? null : <Fact name={images.size}>{bytes(build.sizeBytes)}</Fact>}
            {build.currentSince ? (
              <Fact name={images.currentSince}>
                <When at={build.currentSince} />
              </Fact>
            ) : null}
          </dl>
        </CardBody>
      </Card>
      <Card>
        <CardHead title={images.log} level={3} />
        <CardBody>
          <LogOfBuild buildId={build.id} />
        </CardBody>
      </Card>
    </div>
  );
}
