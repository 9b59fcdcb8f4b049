import { createRoute, lazyRouteComponent } from '@tanstack/react-router';
import type { AdminRoute } from '@/parent-routes';
import { readAuditSearch } from './audit/search';
import { readInstancesSearch } from './instances/search';
import { readJobsSearch } from './jobs/search';

/** The pages below /admin. */
export function addAdminRoutes(parent: AdminRoute) {
  const at = { getParentRoute: () => parent };
  return [
    createRoute({
      ...at,
      path: '/',
      component: lazyRouteComponent(() => import('./queues/page'), 'QueuesPage'),
    }),
    createRoute({
      ...at,
      path: '/jobs',
      validateSearch: readJobsSearch,
      component: lazyRouteComponent(() => import('./jobs/list'), 'JobsPage'),
    }),
    createRoute({
      ...at,
      path: '/jobs/$jobId',
      component: lazyRouteComponent(() => import('./jobs/details'), 'JobPage'),
    }),
    createRoute({
      ...at,
      path: '/workers',
      component: lazyRouteComponent(() => import('./workers/page'), 'WorkersPage'),
    }),
    createRoute({
      ...at,
      path: '/images',
      component: lazyRouteComponent(() => import('./images/page'), 'ImagesPage'),
    }),
    createRoute({
      ...at,
      path: '/images/$buildId',
      component: lazyRouteComponent(() => import('./images/build'), 'BuildPage'),
    }),
    createRoute({
      ...at,
      path: '/rollouts',
      component: lazyRouteComponent(() => import('./rollouts/page'), 'RolloutsPage'),
    }),
    createRoute({
      ...at,
      path: '/rollouts/$jobId',
      component: lazyRouteComponent(() => import('./rollouts/rollout'), 'RolloutPage'),
    }),
    createRoute({
      ...at,
      path: '/instances',
      validateSearch: readInstancesSearch,
      component: lazyRouteComponent(() => import('./instances/page'), 'AllInstancesPage'),
    }),
    createRoute({
      ...at,
      path: '/recovery',
      component: lazyRouteComponent(() => import('./recovery/page'), 'RecoveryPage'),
    }),
    createRoute({
      ...at,
      path: '/users',
      component: lazyRouteComponent(() => import('./users/page'), 'UsersPage'),
    }),
    createRoute({
      ...at,
      path: '/reconciler',
      component: lazyRouteComponent(() => import('./reconciler/page'), 'ReconcilerPage'),
    }),
    createRoute({
      ...at,
      path: '/audit',
      validateSearch: readAuditSearch,
      component: lazyRouteComponent(() => import('./audit/page'), 'AuditPage'),
    }),
  ] as const;
}
