import { RadioGroup } from 'radix-ui';
import type { ReactNode } from 'react';
import { cn } from '@/lib/cn';

type ChoiceProps<T extends string> = {
  value: T;
  onChange: (value: T) => void;
  options: readonly { value: T; label: string; text?: string; icon?: ReactNode }[];
  label: string;
  className?: string;
};

/** Radio buttons as tiles. */
export function Choice<T extends string>({ value, onChange, options, label, className }: ChoiceProps<T>) {
  return (
    <RadioGroup.Root
      value={value}
      onValueChange={(next) => onChange(next as T)}
      aria-label={label}
      className={cn('grid gap-2 sm:grid-cols-3', className)}
    >
      {options.map((option) => (
        <RadioGroup.Item
          key={option.value}
          value={option.value}
          className="group flex items-center gap-3 rounded-xl border border-line-strong bg-surface px-3.5 py-3 text-left transition-colors hover:bg-sunken data-[state=checked]:border-ink data-[state=checked]:ring-1 data-[state=checked]:ring-ink"
        >
          {option.icon ? (
            <span className="text-muted group-data-[state=checked]:text-ink [&_svg]:size-5">{option.icon}</span>
          ) : null}
          <span className="min-w-0 flex-1">
            <span className="block font-medium">{option.label}</span>
            {option.text ? <span className="block text-xs text-muted">{option.text}</span> : null}
          </span>
          <span
            aria-hidden
            className="grid size-4 shrink-0 place-items-center rounded-full border border-line-strong group-data-[state=checked]:border-ink group-data-[state=checked]:bg-ink"
          >
            <span className="hidden size-1.5 rounded-full bg-surface group-data-[state=checked]:block" />
          </span>
        </RadioGroup.Item>
      ))}
    </RadioGroup.Root>
  );
}
