import { Link, type LinkProps } from '@tanstack/react-router';
import { cn } from '@/lib/cn';

export type TabLink = {
  to: LinkProps['to'];
  params?: Record<string, string>;
  label: string;
  count?: number;
  exact?: boolean;
};

/** The parts of a page, each at its own address. */
export function TabLinks({ tabs, label, className }: { tabs: TabLink[]; label: string; className?: string }) {
  return (
    <nav aria-label={label} className={cn('-mx-4 overflow-x-auto px-4 sm:mx-0 sm:px-0', className)}>
      <ul className="flex min-w-max gap-1 border-b">
        {tabs.map((tab) => (
          <li key={tab.to}>
            <Link
              to={tab.to}
              params={tab.params as never}
              activeOptions={{ exact: tab.exact ?? false }}
              resetScroll={false}
              className="-mb-px flex items-center gap-1.5 rounded-t-md border-b-2 border-transparent px-3 py-2 font-medium text-muted transition-colors hover:text-ink aria-[current=page]:border-ink aria-[current=page]:text-ink"
            >
              {tab.label}
              {tab.count ? (
                <span className="rounded-full bg-ink px-1.5 text-[0.6875rem] leading-4 font-semibold text-canvas">
                  {tab.count}
                </span>
              ) : null}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
