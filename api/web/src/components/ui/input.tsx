import type { ComponentProps } from 'react';
import { cn } from '@/lib/cn';

export const inputStyle =
  'h-9 w-full rounded-lg border border-line-strong bg-surface px-3 text-sm text-ink placeholder:text-muted/80 disabled:opacity-60 aria-invalid:border-bad';

export function Input({ className, ...rest }: ComponentProps<'input'>) {
  return <input className={cn(inputStyle, className)} {...rest} />;
}

export function Textarea({ className, ...rest }: ComponentProps<'textarea'>) {
  return <textarea className={cn(inputStyle, 'h-auto min-h-20 py-2', className)} {...rest} />;
}
