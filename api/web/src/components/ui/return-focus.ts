import { useRef } from 'react';

/** What each open dialog was opened from, the nearest first: one that opens another may be gone by the other's end. */
const openers = new WeakMap<Element, HTMLElement[]>();

/** What has the focus; behind it what stays when that goes: the button of a menu, and what its dialog was opened from. */
function focused(): HTMLElement[] {
  const element = document.activeElement;
  if (!(element instanceof HTMLElement) || element === document.body) return [];
  const menu = element.closest('[role=menu]');
  const button = menu && document.getElementById(menu.getAttribute('aria-labelledby') ?? '');
  const dialog = element.closest('[role=dialog]');
  return [element, ...(button ? [button] : []), ...((dialog && openers.get(dialog)) ?? [])];
}

/** Gives the focus back to what opened a dialog, or to the page where that is gone. For dialogs without a button of their own. */
export function useReturnFocus(open: boolean, content: HTMLElement | null) {
  const from = useRef<HTMLElement[]>([]);
  const was = useRef(false);
  // Looked at before the dialog is there, and before the menu is gone from which it is opened.
  if (open && !was.current) from.current = focused();
  was.current = open;
  if (content) openers.set(content, from.current);
  return (event: Event) => {
    event.preventDefault();
    // Somebody has put it elsewhere.
    if (document.activeElement !== document.body) return;
    const usable = from.current.find((element) => element.isConnected && !element.matches(':disabled'));
    (usable ?? document.getElementById('content'))?.focus({ preventScroll: !usable });
  };
}
