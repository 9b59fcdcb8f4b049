import { useMutation } from '@tanstack/react-query';
import { dashboardLink, type Instance } from '@/api/instances';
import { onceAwake } from '@/api/waking';

/** What became of the attempt to open a dashboard: `blocked` has the link that a person has to follow by hand. */
type Opened = { blocked: string | null };

type Told = {
  /** What stands in the new tab while the instance wakes. */
  waking: string;
  /** Heard even if the button is gone by then. */
  onError: (error: unknown) => void;
};

/**
 * Opens an instance's dashboard in a new tab, signed in. An instance that sleeps is woken first.
 *
 * The tab is opened with the click itself, as browsers want it, and led to the link once that is there. The link is a
 * secret: it is in no address of ours, in no storage, and the tab cannot reach back to this page.
 */
export function useOpenDashboard(instance: Pick<Instance, 'id'>, { waking, onError }: Told) {
  return useMutation({
    mutationFn: async (): Promise<Opened> => {
      const tab = window.open('about:blank', '_blank');
      if (tab) tab.opener = null;
      try {
        const { url } = await onceAwake(
          instance.id,
          () => dashboardLink(instance.id),
          () => tab && say(tab, waking),
        );
        if (!tab || tab.closed) return { blocked: url };
        tab.location.replace(url);
        return { blocked: null };
      } catch (error) {
        tab?.close();
        throw error;
      }
    },
    onError: (error) => onError(error),
    gcTime: 0,
  });
}

/** Says something in the empty tab, which is what a person looks at by now. */
function say(tab: Window, words: string): void {
  try {
    const { document } = tab;
    document.title = words;
    document.documentElement.style.colorScheme = 'light dark';
    Object.assign(document.body.style, {
      font: '1rem system-ui, sans-serif',
      margin: '30vh 2rem',
      textAlign: 'center',
    });
    document.body.textContent = words;
  } catch {
    // Somebody has led it elsewhere.
  }
}
