import { Check, ChevronDown } from 'lucide-react';
import { Select as Radix } from 'radix-ui';
import { cn } from '@/lib/cn';
import type { FieldControl } from './field';
import { inputStyle } from './input';
import { useLayer } from './layer';

type SelectProps<T extends string> = {
  value: T;
  onChange: (value: T) => void;
  options: readonly { value: T; label: string }[];
  disabled?: boolean;
  className?: string;
  'aria-label'?: string;
  control?: FieldControl;
};

/** One of several words. */
export function Select<T extends string>({
  value,
  onChange,
  options,
  disabled,
  className,
  control,
  ...rest
}: SelectProps<T>) {
  const container = useLayer();
  return (
    <Radix.Root value={value} onValueChange={(next) => onChange(next as T)} {...(disabled ? { disabled } : {})}>
      <Radix.Trigger
        {...control}
        {...rest}
        className={cn(inputStyle, 'inline-flex items-center justify-between gap-2 text-left', className)}
      >
        <span className="truncate">
          <Radix.Value />
        </span>
        <Radix.Icon>
          <ChevronDown aria-hidden className="size-4 text-muted" />
        </Radix.Icon>
      </Radix.Trigger>
      <Radix.Portal container={container}>
        <Radix.Content
          position="popper"
          sideOffset={6}
          collisionPadding={8}
          className="z-50 min-w-(--radix-select-trigger-width) animate-enter overflow-hidden rounded-xl border bg-raised p-1 shadow-float"
        >
          <Radix.Viewport>
            {options.map((option) => (
              <Radix.Item
                key={option.value}
                value={option.value}
                className="relative flex items-center rounded-md py-1.5 pr-3 pl-8 text-sm outline-none select-none data-[highlighted]:bg-ink/6"
              >
                <Radix.ItemIndicator className="absolute left-2.5">
                  <Check aria-hidden className="size-4 text-muted" />
                </Radix.ItemIndicator>
                <Radix.ItemText>{option.label}</Radix.ItemText>
              </Radix.Item>
            ))}
          </Radix.Viewport>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
