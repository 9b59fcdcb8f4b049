import { type ClassValue, clsx } from 'clsx';
import { twMerge } from 'tailwind-merge';

/** Class names, where later ones win over earlier ones that say the same. */
export function cn(...classes: ClassValue[]): string {
  return twMerge(clsx(classes));
}
