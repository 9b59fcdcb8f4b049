import { Outlet, useLocation } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { Page } from '@/components/page';
import { type TabLink, TabLinks } from '@/components/ui/tabs';
import { FirewallNotice } from './parts/firewall-notice';
import { useAdminTexts } from './texts';

/** What is around every page for administrators. */
export function AdminPage() {
  const { title, parts, partsLabel } = useAdminTexts();
  const { pathname } = useLocation();
  const bar = useRef<HTMLDivElement>(null);
  // On a phone not all parts fit beside each other: the one that is shown is brought into view.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another part may be shown at another address
  useEffect(() => {
    const shown = bar.current?.querySelector('[aria-current=page]');
    shown?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [pathname]);
  const tabs: TabLink[] = [
    { to: '/admin', label: parts.queues, exact: true },
    { to: '/admin/jobs', label: parts.jobs },
    { to: '/admin/workers', label: parts.workers },
    { to: '/admin/images', label: parts.images },
    { to: '/admin/rollouts', label: parts.rollouts },
    { to: '/admin/instances', label: parts.instances },
    { to: '/admin/recovery', label: parts.recovery },
    { to: '/admin/users', label: parts.users },
    { to: '/admin/reconciler', label: parts.reconciler },
    { to: '/admin/audit', label: parts.audit },
  ];
  return (
    <Page title={title}>
      <div ref={bar}>
        <TabLinks tabs={tabs} label={partsLabel} className="mb-6" />
      </div>
      <FirewallNotice />
      <Outlet />
    </Page>
  );
}
