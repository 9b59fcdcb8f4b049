import { lazy, Suspense } from 'react';
import type { Instance } from '@/api/instances';
import { ROW, Row } from './row';
import { useUsage } from './usage';

/** So many are simply there. More are drawn as one scrolls, by script that most people never need. */
const FEW = 50;

const ManyRows = lazy(() => import('./many-rows'));

export type RowsProps = { instances: Instance[] };

/** Instances, one below the other. */
export function Rows({ instances }: RowsProps) {
  if (instances.length <= FEW) return <FewRows instances={instances} />;
  return (
    <Suspense fallback={<FewRows instances={instances.slice(0, FEW)} />}>
      <ManyRows instances={instances} />
    </Suspense>
  );
}

function FewRows({ instances }: RowsProps) {
  const usage = useUsage(instances, 0, instances.length - 1);
  return (
    <ul>
      {instances.map((instance) => (
        <li key={instance.id} className="border-b last:border-b-0" style={{ height: ROW }}>
          <Row instance={instance} usage={usage.get(instance.id)} />
        </li>
      ))}
    </ul>
  );
}
