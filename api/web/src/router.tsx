// Every page and its address. Pages are loaded when somebody goes there, or rests on a link to them.
import { createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router';
import { authOptionsQuery } from '@/api/auth';
import { queryClient } from '@/api/query-client';
import { meQuery, type User } from '@/api/session';
import { PageCrashed, PageLoading } from '@/components/state';
import { signInSearch } from '@/lib/sign-in-search';
import { addAdminRoutes } from '@/pages/admin/routes';
import { adminRoute, layoutRoute, rootRoute } from '@/parent-routes';

// --- without being signed in ------------------------------------------------------------------------------------------

const signInRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/sign-in',
  validateSearch: signInSearch,
  beforeLoad: async ({ context, search }) => {
    // Whoever cannot be asked for is let to the door, which says what is wrong.
    const [me, options] = await Promise.all([
      context.queryClient.ensureQueryData(meQuery).catch(() => null),
      context.queryClient.fetchQuery(authOptionsQuery).catch(() => undefined),
    ]);
    if (me) throw redirect({ href: search.to ?? '/instances', replace: true });
    if (options?.setupRequired) throw redirect({ to: '/setup', replace: true });
  },
  component: lazyRouteComponent(() => import('@/pages/auth/sign-in'), 'SignInPage'),
});

const setupRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/setup',
  beforeLoad: async ({ context }) => {
    const me = await context.queryClient.ensureQueryData(meQuery).catch(() => null);
    if (me) throw redirect({ to: '/instances', replace: true });
  },
  component: lazyRouteComponent(() => import('@/pages/auth/setup'), 'SetupPage'),
});

// The token comes after the `#`, which is sent to no server and stands in no log.
const invitationRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/invitation',
  component: lazyRouteComponent(() => import('@/pages/auth/choose-password'), 'InvitationPage'),
});

const newPasswordRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/new-password',
  component: lazyRouteComponent(() => import('@/pages/auth/choose-password'), 'NewPasswordPage'),
});

// --- signed in --------------------------------------------------------------------------------------------------------

const homeRoute = createRoute({
  getParentRoute: () => layoutRoute,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/instances', replace: true });
  },
});

const instancesRoute = createRoute({
  getParentRoute: () => layoutRoute,
  path: '/instances',
  component: lazyRouteComponent(() => import('@/pages/instances/list'), 'InstancesPage'),
});

const createInstanceRoute = createRoute({
  getParentRoute: () => layoutRoute,
  path: '/instances/new',
  component: lazyRouteComponent(() => import('@/pages/instances/create'), 'CreateInstancePage'),
});

const deletedInstancesRoute = createRoute({
  getParentRoute: () => layoutRoute,
  path: '/instances/deleted',
  component: lazyRouteComponent(() => import('@/pages/instances/deleted'), 'DeletedInstancesPage'),
});

const instanceRoute = createRoute({
  getParentRoute: () => layoutRoute,
  path: '/instances/$id',
  component: lazyRouteComponent(() => import('@/pages/instance/page'), 'InstancePage'),
});

const instanceParts = [
  createRoute({
    getParentRoute: () => instanceRoute,
    path: '/',
    component: lazyRouteComponent(() => import('@/pages/instance/overview'), 'Overview'),
  }),
  createRoute({
    getParentRoute: () => instanceRoute,
    path: '/terminal',
    component: lazyRouteComponent(() => import('@/pages/instance/terminal'), 'Terminal'),
  }),
  createRoute({
    getParentRoute: () => instanceRoute,
    path: '/logs',
    component: lazyRouteComponent(() => import('@/pages/instance/logs'), 'Logs'),
  }),
  createRoute({
    getParentRoute: () => instanceRoute,
    path: '/usage',
    component: lazyRouteComponent(() => import('@/pages/instance/usage'), 'Usage'),
  }),
  // Its former address, for bookmarks.
  createRoute({
    getParentRoute: () => instanceRoute,
    path: '/graphs',
    beforeLoad: ({ params }) => {
      throw redirect({ to: '/instances/$id/usage', params, replace: true });
    },
  }),
  createRoute({
    getParentRoute: () => instanceRoute,
    path: '/devices',
    component: lazyRouteComponent(() => import('@/pages/instance/devices'), 'Devices'),
  }),
  createRoute({
    getParentRoute: () => instanceRoute,
    path: '/settings',
    component: lazyRouteComponent(() => import('@/pages/instance/settings'), 'Settings'),
  }),
  createRoute({
    getParentRoute: () => instanceRoute,
    path: '/versions',
    component: lazyRouteComponent(() => import('@/pages/instance/versions'), 'Versions'),
  }),
  createRoute({
    getParentRoute: () => instanceRoute,
    path: '/activity',
    component: lazyRouteComponent(() => import('@/pages/instance/activity'), 'Activity'),
  }),
];

const profileRoute = createRoute({
  getParentRoute: () => layoutRoute,
  path: '/profile',
  component: lazyRouteComponent(() => import('@/pages/account/profile'), 'ProfilePage'),
});

const activityRoute = createRoute({
  getParentRoute: () => layoutRoute,
  path: '/profile/activity',
  component: lazyRouteComponent(() => import('@/pages/account/activity'), 'ActivityPage'),
});

export const router = createRouter({
  routeTree: rootRoute.addChildren([
    signInRoute,
    setupRoute,
    invitationRoute,
    newPasswordRoute,
    layoutRoute.addChildren([
      homeRoute,
      instancesRoute,
      createInstanceRoute,
      deletedInstancesRoute,
      instanceRoute.addChildren(instanceParts),
      profileRoute,
      activityRoute,
      adminRoute.addChildren(addAdminRoutes(adminRoute)),
    ]),
  ]),
  context: { queryClient },
  defaultPreload: 'intent',
  defaultPendingMs: 300,
  defaultPendingComponent: PageLoading,
  defaultErrorComponent: PageCrashed,
  scrollRestoration: true,
});

// The address and the session follow each other: who is signed out elsewhere lands at the door, and who administrates no
// more leaves those pages.
let role: User['role'] | undefined;
queryClient.getQueryCache().subscribe((event) => {
  if (event.type !== 'updated' || event.query.queryKey[0] !== 'me') return;
  const me = event.query.state.data as User | null | undefined;
  if (me === null || (me && role && me.role !== role)) void router.invalidate();
  if (me !== undefined) role = me?.role;
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
