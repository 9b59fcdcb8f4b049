import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useLayoutEffect, useRef, useState } from 'react';
import { ROW, Row } from './row';
import type { RowsProps } from './rows-props';
import { useUsage } from './usage';

/** Instances, one below the other. Only those on the screen are in the page, however many there are. */
export function ManyRows({ instances }: RowsProps) {
  const list = useRef<HTMLUListElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => setTop(list.current?.offsetTop ?? 0), []);
  const rows = useWindowVirtualizer({
    count: instances.length,
    estimateSize: () => ROW,
    overscan: 8,
    scrollMargin: top,
    getItemKey: (index) => instances[index]?.id ?? index,
  });
  const shown = rows.getVirtualItems();
  const usage = useUsage(instances, shown[0]?.index ?? 0, shown.at(-1)?.index ?? 0);
  return (
    <ul ref={list} className="relative" style={{ height: rows.getTotalSize() }}>
      {shown.map((row) => {
        const instance = instances[row.index];
        return instance ? (
          <li
            key={row.key}
            aria-setsize={instances.length}
            aria-posinset={row.index + 1}
            className="absolute inset-x-0 top-0 border-b last:border-b-0"
            style={{ height: ROW, transform: `translateY(${row.start - top}px)` }}
          >
            <Row instance={instance} usage={usage.get(instance.id)} />
          </li>
        ) : null;
      })}
    </ul>
  );
}
