import { expect, test } from 'vitest';
import { en } from '@/texts/en';
import { EMPTY, mistakes, toBody } from './draft';

const wrong = (part: Partial<typeof EMPTY>) => Object.keys(mistakes({ ...EMPTY, name: 'first', ...part }, en.create));

test('a name is all that is needed', () => {
  expect(wrong({})).toEqual([]);
  expect(wrong({ name: '   ' })).toEqual(['name']);
  expect(wrong({ name: 'x'.repeat(65) })).toEqual(['name']);
  expect(wrong({ name: '🦞'.repeat(64) })).toEqual([]);
});

test('a channel needs its token, a provider its key', () => {
  expect(wrong({ channel: 'telegram' })).toEqual(['botToken']);
  expect(wrong({ channel: 'discord', botToken: ' ' })).toEqual(['botToken']);
  expect(wrong({ aiProvider: 'anthropic' })).toEqual(['apiKey']);
  expect(wrong({ channel: 'telegram', botToken: '1:a', aiProvider: 'openai', apiKey: 'sk' })).toEqual([]);
});

test('what was skipped is not sent', () => {
  expect(toBody({ ...EMPTY, name: ' first ', botToken: 'left over', apiKey: 'left over' })).toEqual({
    name: 'first',
    memoryMb: 2048,
    cpuMillis: 1000,
  });
});
