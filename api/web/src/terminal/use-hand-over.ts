import { useRef } from 'react';

/**
 * Who gets the focus when a menu or a dialog has closed: what it opened, by `give`, if something was chosen in it. `closed` is for
 * its `onClosed`; false: nothing was.
 */
export function useHandOver(give: () => boolean): { choose: () => void; closed: () => boolean } {
  const chosen = useRef(false);
  return {
    choose: () => {
      chosen.current = true;
    },
    closed: () => {
      const was = chosen.current;
      chosen.current = false;
      return was && give();
    },
  };
}
