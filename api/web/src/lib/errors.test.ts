import { expect, test } from 'vitest';
import { ApiError } from '@/api/client';
import { en } from '@/texts/en';
import { zh } from '@/texts/zh';
import { fieldWords } from './errors';

function refused(field: string, most: number, code: 'quota_exceeded' | 'host_full' = 'quota_exceeded'): ApiError {
  const detail = "One account's instances may have 4096 MiB of memory together.";
  const errors = [{ field, code, message: 'exceeds the remaining quota', most }];
  return new ApiError(409, { code, detail, errors });
}

test('what is left of a quota is told in the units of the form, in each language', () => {
  expect([en, zh].map((texts) => fieldWords(refused('memoryMb', 1536), 'memoryMb', texts))).toEqual([
    'This exceeds the account’s total limit. This instance can have at most 1.5 GB.',
    '超出账户的总额度，此实例最多可用 1.5 GB。',
  ]);
  expect([en, zh].map((texts) => fieldWords(refused('cpuMillis', 1000), 'cpuMillis', texts))).toEqual([
    'This exceeds the account’s total limit. This instance can have at most 1 core.',
    '超出账户的总额度，此实例最多可用 1 核。',
  ]);
  expect(fieldWords(refused('memoryMb', 0), 'memoryMb', zh)).toBe('账户的总额度已全部被其他实例占用。');
  expect(fieldWords(refused('memoryMb', 0), 'cpuMillis', en)).toBeUndefined();
});

test('what is left of the server is told if it is enough for an instance', () => {
  const words = (most: number, texts = en) => fieldWords(refused('memoryMb', most, 'host_full'), 'memoryMb', texts);
  expect(words(1536)).toContain('at most 1.5 GB');
  expect(words(1535)).toContain('The server is full.');
  expect([words(2048, zh), words(0, zh)]).toEqual([zh.errors.hostLeft(zh.create.gigabytes('2')), zh.errors.hostFull]);
});

test('a field is told in the page’s words first, then in ours, then in the server’s', () => {
  const error = new ApiError(400, {
    code: 'validation_failed',
    errors: [
      { field: 'name', code: 'taken', message: 'is the name of another' },
      { field: 'tail', code: 'odd', message: 'is odd' },
    ],
  });
  expect(fieldWords(error, 'name', zh, { taken: '换一个' })).toBe('换一个');
  expect(fieldWords(error, 'name', zh)).toBe('已被使用');
  expect(fieldWords(error, 'tail', zh)).toBe('Is odd');
});
