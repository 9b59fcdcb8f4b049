import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Package } from 'lucide-react';
import { call, client } from '@/api/client';
import type { Schemas } from '@/api/contract';
import { Badge, type Tone } from '@/components/ui/badge';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { When } from '@/components/when';
import { bytes, span } from '@/lib/format';
import { wordFor } from '@/lib/word';
import { useTexts } from '@/texts';
import { Heading } from '../parts/heading';
import { Loaded } from '../parts/loaded';
import { Table, Td, Th, Tr } from '../parts/table';
import { useAdminTexts } from '../texts';
import { BuildDialog } from './build-dialog';
import { PolicyCard } from './policy';

type Build = Schemas['ImageBuild'];

const EVERY_MS = 4_000;
const TONES: Record<Build['status'], Tone> = { building: 'busy', ready: 'good', failed: 'bad', cancelled: 'warn' };

/** The image that all instances are made from. */
export function ImagesPage() {
  const { images } = useAdminTexts();
  const query = useQuery({
    queryKey: ['admin', 'images'],
    queryFn: ({ signal }) => call(client.GET('/api/admin/images', { signal })),
    refetchInterval: EVERY_MS,
  });
  return (
    <div className="space-y-6">
      <div>
        <Heading title={images.title} text={images.text} actions={<BuildDialog />} />
        <Loaded query={query}>
          {({ items }) =>
            items.length === 0 ? (
              <Card>
                <Empty icon={Package} title={images.none} text={images.noneText} />
              </Card>
            ) : (
              <Builds builds={items} />
            )
          }
        </Loaded>
      </div>
      <PolicyCard />
    </div>
  );
}

/** Its version, or where it comes from. */
export function buildName(build: Build): string {
  return build.version ?? build.reference ?? build.revision ?? build.id.slice(0, 8);
}

/** How a build is, and whether its image is the one for new instances. */
export function BuildStatus({ build, current }: { build: Build; current?: boolean }) {
  const { images } = useAdminTexts();
  const { common } = useTexts();
  return (
    <span className="inline-flex flex-wrap gap-1.5">
      <Badge tone={TONES[build.status]}>
        {wordFor(images.statuses, build.status, common.unknown)}
        {build.status === 'building' ? ` ${build.progress}%` : ''}
      </Badge>
      {current && !build.removedAt ? <Badge tone="good">{images.current}</Badge> : null}
      {build.removedAt ? <Badge>{images.removed}</Badge> : null}
    </span>
  );
}

function Builds({ builds }: { builds: Build[] }) {
  const { images } = useAdminTexts();
  const { common } = useTexts();
  // All that ever were current have a date; the one that is has the latest.
  const since = builds
    .map((build) => build.currentSince ?? '')
    .sort()
    .at(-1);
  return (
    <Table label={images.title}>
      <thead>
        <tr>
          <Th>{images.version}</Th>
          <Th>{images.status}</Th>
          <Th aside>{images.source}</Th>
          <Th>{images.built}</Th>
          <Th aside className="text-right">
            {images.took}
          </Th>
          <Th aside className="text-right">
            {images.size}
          </Th>
        </tr>
      </thead>
      <tbody>
        {builds.map((build) => (
          <Tr key={build.id}>
            <Td className="max-w-44 sm:max-w-96">
              <Link
                to="/admin/images/$buildId"
                params={{ buildId: build.id }}
                className="font-medium wrap-anywhere underline-offset-4 hover:underline"
              >
                {buildName(build)}
              </Link>
              {build.revision ? (
                <p className="mt-0.5 truncate font-mono text-xs text-muted" title={build.revision}>
                  {build.revision}
                </p>
              ) : null}
              {build.errorMessage ? (
                <p className="mt-0.5 line-clamp-2 text-[0.8125rem] wrap-anywhere text-bad" title={build.errorMessage}>
                  {build.errorMessage}
                </p>
              ) : null}
            </Td>
            <Td>
              <BuildStatus build={build} current={build.currentSince != null && build.currentSince === since} />
            </Td>
            <Td aside>{wordFor(images.sources, build.source, common.unknown)}</Td>
            <Td className="whitespace-nowrap text-muted">
              <When at={build.createdAt} />
            </Td>
            <Td aside className="text-right whitespace-nowrap tabular-nums">
              {build.durationMs == null ? '–' : span(build.durationMs)}
            </Td>
            <Td aside className="text-right whitespace-nowrap tabular-nums">
              {build.sizeBytes == null ? '–' : bytes(build.sizeBytes)}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}
