import { expect, test } from 'vitest';
import { plain } from './ansi';
import { bytes, cores, gigabytes, relative, span } from './format';
import { Ring } from './ring';

test('spans and sizes are short', () => {
  expect([0, 40, 3_249, 59_400, 125_000, 7_500_000].map(span)).toEqual([
    '0 ms',
    '40 ms',
    '3.2 s',
    '59 s',
    '2 min 5 s',
    '2 h 5 min',
  ]);
  expect([0, 900, 1536, 2048 * 1024 * 1024, 1.5 * 1024 ** 3, 123.4 * 1024 ** 2].map(bytes)).toEqual([
    '0 B',
    '900 B',
    '1.5 KB',
    '2 GB',
    '1.5 GB',
    '123 MB',
  ]);
  expect([250, 1000, 1500].map(cores)).toEqual(['0.25', '1', '1.5']);
  expect([512, 1023, 1024, 1280].map(gigabytes)).toEqual(['0.5', '0.99', '1', '1.25']);
});

test('times are told from the present, in the language', () => {
  const now = Date.parse('2026-11-25T12:00:00Z');
  expect(relative('2026-11-25T11:55:00Z', now, 'en')).toBe('5 minutes ago');
  expect(relative('2026-11-27T12:00:00Z', now, 'en')).toBe('in 2 days');
  expect(relative('2026-11-25T12:00:00Z', now, 'en')).toBe('now');
  expect(relative('2026-11-25T11:55:00Z', now, 'zh')).toBe('5分钟前');
});

test('a ring keeps the last, and counts the rest', () => {
  const ring = new Ring<number>().push([1, 2, 3], 4).push([4, 5, 6], 4);
  expect(ring.items).toEqual([3, 4, 5, 6]);
  expect(ring.dropped).toBe(2);
});

test('colours go, text stays', () => {
  expect(plain('\u001b[1;32mready\u001b[0m in \u001b]0;title\u00073 s')).toBe('ready in 3 s');
});
