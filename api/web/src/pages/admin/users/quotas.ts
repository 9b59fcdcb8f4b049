import type { Schemas } from '@/api/contract';

type Quotas = Schemas['Quotas'];

export const QUOTAS = ['instances', 'cpuMillis', 'memoryMb', 'terminals'] as const satisfies (keyof Quotas)[];
export type QuotaName = (typeof QUOTAS)[number];
export type QuotaTexts = Record<QuotaName, string>;

/** Limits as they stand in the form: empty is the installation's. */
export function asTexts(quotas: Quotas): QuotaTexts {
  const text = (name: QuotaName) => (quotas[name] == null ? '' : String(quotas[name]));
  return Object.fromEntries(QUOTAS.map((name) => [name, text(name)])) as QuotaTexts;
}

/** What somebody entered; undefined: not a whole number from 0 on. */
export function readQuota(text: string): number | null | undefined {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  return /^\d{1,9}$/.test(trimmed) ? Number(trimmed) : undefined;
}

/** The limits as they were entered, all of them; null: one is no number, or none differs from what is set. */
export function changedQuotas(quotas: Quotas, texts: QuotaTexts): Quotas | null {
  const values = QUOTAS.map((name) => [name, readQuota(texts[name])] as const);
  if (values.some(([, value]) => value === undefined)) return null;
  if (values.every(([name, value]) => value === (quotas[name] ?? null))) return null;
  return Object.fromEntries(values) as Quotas;
}
