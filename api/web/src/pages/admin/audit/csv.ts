import type { Entry } from './filter';

const COLUMNS = [
  'id',
  'at',
  'actor',
  'action',
  'targetKind',
  'targetId',
  'outcome',
  'clientIp',
  'requestId',
  'detail',
] as const;

/**
 * A cell of a table. What a spreadsheet would take for a formula is marked as a text: names of instances and programs are
 * chosen by people, and whoever opens the file is an administrator.
 */
export function cell(value: unknown): string {
  const text = value == null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Entries as a table for spreadsheets. */
export function csv(entries: Entry[]): string {
  const rows = [COLUMNS.join(','), ...entries.map((entry) => COLUMNS.map((name) => cell(entry[name])).join(','))];
  return `${rows.join('\r\n')}\r\n`;
}
