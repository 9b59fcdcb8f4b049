import { ChevronDown } from 'lucide-react';
import { cn } from '@/lib/cn';
import type { FieldControl } from './field';
import { inputStyle } from './input';

type SelectProps<T extends string> = {
  value: T;
  onChange: (value: T) => void;
  options: readonly { value: T; label: string }[];
  disabled?: boolean;
  className?: string;
  'aria-label'?: string;
  control?: FieldControl;
};

/** One of several words: the browser's own list, which screen readers know, and phones show in their way. */
export function Select<T extends string>({
  value,
  onChange,
  options,
  disabled,
  className,
  control,
  ...rest
}: SelectProps<T>) {
  return (
    <div className={cn('relative', className)}>
      <select
        {...control}
        {...rest}
        value={value}
        onChange={(event) => onChange(event.target.value as T)}
        disabled={disabled}
        className={cn(inputStyle, 'appearance-none truncate pr-9')}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value} className="bg-raised text-ink">
            {option.label}
          </option>
        ))}
      </select>
      <ChevronDown
        aria-hidden
        className="pointer-events-none absolute top-1/2 right-3 size-4 -translate-y-1/2 text-muted"
      />
    </div>
  );
}
