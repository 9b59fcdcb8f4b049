import { useQuery } from '@tanstack/react-query';
import type { Instance } from '@/api/instances';
import { manyRowsQuery } from './many-rows-query';
import { ROW, Row } from './row';
import { useUsage } from './usage';

/** So many are simply there. More are drawn as one scrolls, by script of its own. */
const FEW = 50;

export type RowsProps = { instances: Instance[] };

/** Instances, one below the other. */
export function Rows({ instances }: RowsProps) {
  const many = instances.length > FEW;
  const { data: ManyRows } = useQuery({ ...manyRowsQuery, enabled: many });
  if (many && ManyRows) return <ManyRows instances={instances} />;
  return <FewRows instances={many ? instances.slice(0, FEW) : instances} />;
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
