// The routes that have others below them in more than one file.
import { createRootRouteWithContext, createRoute, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router';
import type { queryClient } from '@/api/query-client';
import { meQuery } from '@/api/session';
import { PageNotFound } from '@/components/state';

export const rootRoute = createRootRouteWithContext<{ queryClient: typeof queryClient }>()({
  component: Outlet,
  notFoundComponent: PageNotFound,
});

/** What only people see who are signed in. */
export const layoutRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: 'layout',
  component: lazyRouteComponent(() => import('@/components/layout'), 'Layout'),
  beforeLoad: async ({ context, location }) => {
    const me = await context.queryClient.ensureQueryData(meQuery);
    if (!me) throw redirect({ to: '/sign-in', search: location.pathname === '/' ? {} : { to: location.href } });
    return { me };
  },
});

export const adminRoute = createRoute({
  getParentRoute: () => layoutRoute,
  path: '/admin',
  component: lazyRouteComponent(() => import('@/pages/admin/page'), 'AdminPage'),
  beforeLoad: ({ context }) => {
    if (context.me.role !== 'admin') throw redirect({ to: '/instances' });
  },
});

export type AdminRoute = typeof adminRoute;
