import { Search } from 'lucide-react';
import type { ComponentProps } from 'react';
import { cn } from '@/lib/cn';
import { Input } from './input';

type SearchInputProps = Omit<ComponentProps<'input'>, 'type' | 'onChange'> & {
  /** What is searched: its name, and what it shows while it is empty. */
  label: string;
  onChange: (text: string) => void;
  /** Whether a lens says what it is for; the first one of several does. */
  icon?: boolean;
};

/** A field to search in; `className` is that of the box around it. */
export function SearchInput({ label, className, onChange, icon = true, ...rest }: SearchInputProps) {
  return (
    <div className={cn('relative', className)}>
      {icon ? <Search aria-hidden className="pointer-events-none absolute top-2.5 left-3 size-4 text-muted" /> : null}
      <Input
        type="search"
        aria-label={label}
        placeholder={label}
        className={icon ? 'pl-9' : undefined}
        onChange={(event) => onChange(event.target.value)}
        {...rest}
      />
    </div>
  );
}
