import { Tooltip as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { useLayer } from './layer';

/** A word about a control, for whoever rests on it. Not for what one has to know. */
export function Tooltip({ text, children }: { text: ReactNode; children: ReactNode }) {
  const container = useLayer();
  return (
    <Radix.Provider delayDuration={400}>
      <Radix.Root>
        <Radix.Trigger asChild>{children}</Radix.Trigger>
        <Radix.Portal container={container}>
          <Radix.Content
            sideOffset={6}
            collisionPadding={8}
            className="z-50 max-w-64 animate-enter rounded-lg bg-ink px-2.5 py-1.5 text-xs text-canvas shadow-float"
          >
            {text}
          </Radix.Content>
        </Radix.Portal>
      </Radix.Root>
    </Radix.Provider>
  );
}
