import { ApiError } from '@/api/client';
import type { Texts } from '@/texts';
import { cores, gigabytes } from './format';

/** An error in words: ours where there are better ones for its code, else the server's. */
export function wordsFor(error: unknown, texts: Texts): string {
  if (error instanceof ApiError)
    return texts.errors.codes[error.code] ?? (error.message || texts.errors.codes.unknown) ?? '';
  return texts.errors.codes.unknown ?? '';
}

/** Whether what is wrong stands at single fields. */
export function isAtFields(error: unknown): boolean {
  return error instanceof ApiError && error.fields.length > 0;
}

/** The least memory that an instance may have, in MiB: MEMORY_MB in api/src/controllers/instances/form.rs. */
export const LEAST_MEMORY_MB = 1536;

/** Quantities that there are quotas for, as the forms show them. */
const AMOUNTS: Record<string, (most: number, texts: Texts) => string> = {
  memoryMb: (mib, { create }) => create.gigabytes(gigabytes(mib)),
  cpuMillis: (millis, { create }) => create.cores(cores(millis)),
};

/** What is wrong with a field, in words: `code` first, as that is what a translation knows, and the page's `own` before all. */
export function fieldWords(
  error: unknown,
  field: string,
  texts: Texts,
  own: Record<string, string> = {},
): string | undefined {
  if (!(error instanceof ApiError)) return undefined;
  const found = error.fields.find((one) => one.field === field);
  if (!found) return undefined;
  const amount = AMOUNTS[field];
  if (found.code === 'quota_exceeded' && found.most != null && amount) {
    return found.most > 0 ? texts.errors.left(amount(found.most, texts)) : texts.errors.nothingLeft;
  }
  if (found.code === 'host_full' && found.most != null && amount) {
    // Less than the smallest instance needs is nothing.
    return found.most >= LEAST_MEMORY_MB ? texts.errors.hostLeft(amount(found.most, texts)) : texts.errors.hostFull;
  }
  const words = own[found.code] ?? texts.errors.fields[found.code] ?? found.message;
  return words.charAt(0).toUpperCase() + words.slice(1);
}
