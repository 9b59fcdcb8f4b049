import { ManyRows } from './many-rows';
import { ROW, Row } from './row';
import type { RowsProps } from './rows-props';
import { useUsage } from './usage';

/** So many are simply there. More are drawn as one scrolls. */
const FEW = 50;

/** Instances, one below the other. */
export function Rows({ instances }: RowsProps) {
  return instances.length > FEW ? <ManyRows instances={instances} /> : <FewRows instances={instances} />;
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
