import { type ComponentProps, useEffect, useRef } from 'react';

/** A part of a page whose buttons come and go. When the one that has the focus goes, the part's heading has it. */
export function KeepsFocus(props: ComponentProps<'div'>) {
  const box = useRef<HTMLDivElement>(null);
  const last = useRef<Element>(null);
  useEffect(() => {
    if (!last.current || last.current.isConnected || document.activeElement !== document.body) return;
    last.current = null;
    const heading = box.current?.querySelector<HTMLElement>('h2, h3');
    if (!heading) return;
    heading.tabIndex = -1;
    heading.focus();
  });
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only looks at what has the focus
    <div
      ref={box}
      onFocus={({ currentTarget, target }) => {
        // A dialog is elsewhere in the document, and gives the focus back itself.
        if (currentTarget.contains(target)) last.current = target;
      }}
      {...props}
    />
  );
}
