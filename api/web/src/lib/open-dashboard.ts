import { useMutation } from '@tanstack/react-query';
import { dashboardLink, type Instance } from '@/api/instances';

/** What became of the attempt to open a dashboard: `blocked` has the link that a person has to follow by hand. */
type Opened = { blocked: string | null };

/**
 * Opens an instance's dashboard in a new tab, signed in.
 *
 * The tab is opened with the click itself, as browsers want it, and led to the link once that is there. The link is a
 * secret: it is in no address of ours, in no storage, and the tab cannot reach back to this page.
 */
export function useOpenDashboard(instance: Pick<Instance, 'id'>) {
  return useMutation({
    mutationFn: async (): Promise<Opened> => {
      const tab = window.open('about:blank', '_blank');
      if (tab) tab.opener = null;
      try {
        const { url } = await dashboardLink(instance.id);
        if (!tab || tab.closed) return { blocked: url };
        tab.location.replace(url);
        return { blocked: null };
      } catch (error) {
        tab?.close();
        throw error;
      }
    },
    gcTime: 0,
  });
}
