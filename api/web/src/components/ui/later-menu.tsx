import { Slot } from 'radix-ui';
import { type ReactNode, Suspense, startTransition, useState } from 'react';

/** What a menu gets that is loaded later. */
export type LoadedMenuProps = {
  trigger: ReactNode;
  /** Somebody waits for it. */
  defaultOpen: true;
};

type LaterMenuProps = {
  /** The button. */
  trigger: ReactNode;
  /** Begins to load it; more than one call does no harm. */
  load: () => unknown;
  children: (menu: LoadedMenuProps) => ReactNode;
};

/**
 * A button whose menu is loaded when somebody is about to open it. Menus are a sixth of the script of a page, and few are opened
 * before the page has been read.
 */
export function LaterMenu({ trigger, load, children }: LaterMenuProps) {
  const [wanted, setWanted] = useState(false);
  // Until it is there, what is shown stays as it is.
  const open = () => startTransition(() => setWanted(true));
  const closed = (
    <Slot.Root
      aria-haspopup="menu"
      aria-expanded={false}
      onPointerEnter={load}
      onFocus={load}
      onClick={open}
      onKeyDown={(event) => {
        if (event.key !== 'ArrowDown') return;
        event.preventDefault();
        open();
      }}
    >
      {trigger}
    </Slot.Root>
  );
  return wanted ? <Suspense fallback={closed}>{children({ trigger, defaultOpen: true })}</Suspense> : closed;
}
