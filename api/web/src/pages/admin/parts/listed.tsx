import { SearchX } from 'lucide-react';
import type { ReactNode } from 'react';
import { More, type usePages } from '@/components/pages';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { Empty } from '@/components/ui/empty';
import { useAdminTexts } from '../texts';
import { Loaded } from './loaded';
import { Table } from './table';

type ListedProps<T> = {
  query: ReturnType<typeof usePages<T>>;
  label: string;
  /** Heads of its columns. */
  head: ReactNode;
  /** What stands there instead when there is nothing. */
  empty: ReactNode;
  /** Rows that it is likely to have. */
  rows?: number;
  children: (item: T) => ReactNode;
};

/** A list that comes page by page, as a table. */
export function Listed<T>({ query, label, head, empty, rows = 6, children }: ListedProps<T>) {
  const { searchedSoFar } = useAdminTexts();
  return (
    <Loaded query={query} rows={rows}>
      {({ pages }) => {
        const items = pages.flatMap((page) => page.items);
        // A search that looked at the newest only is not over.
        if (items.length === 0 && query.hasNextPage)
          return (
            <>
              <Card>
                <Empty icon={SearchX} title={searchedSoFar} />
              </Card>
              <More query={query} />
            </>
          );
        if (items.length === 0) return <Card>{empty}</Card>;
        return (
          <>
            <Table label={label}>
              <thead>
                <tr>{head}</tr>
              </thead>
              <tbody>{items.map(children)}</tbody>
            </Table>
            <More query={query} />
          </>
        );
      }}
    </Loaded>
  );
}

type NoMatchProps = { title: string; text?: string | undefined; onClear: () => void };

/** Nothing is what was looked for. */
export function NoMatch({ title, text, onClear }: NoMatchProps) {
  const { showAll } = useAdminTexts();
  return (
    <Empty
      icon={SearchX}
      title={title}
      text={text}
      action={
        <Button variant="outline" onClick={onClear}>
          {showAll}
        </Button>
      }
    />
  );
}
