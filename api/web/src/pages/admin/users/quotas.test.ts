import { expect, it } from 'vitest';
import { asTexts, changedQuotas, readQuota } from './quotas';

it('reads whole numbers, and nothing as the limit of the installation', () => {
  expect(['', ' ', '0', '12', ' 7 '].map(readQuota)).toEqual([null, null, 0, 12, 7]);
  expect(['-1', '1.5', 'ten', '1e3', '9999999999'].map(readQuota)).toEqual(Array(5).fill(undefined));
});

it('sends all limits as soon as one differs, as what is left out would be given up', () => {
  const quotas = { instances: 3, cpuMillis: null, memoryMb: null, terminals: 5 };
  const texts = asTexts(quotas);
  expect(texts).toEqual({ instances: '3', cpuMillis: '', memoryMb: '', terminals: '5' });
  expect(changedQuotas(quotas, texts)).toBeNull();
  expect(changedQuotas(quotas, { ...texts, instances: '', memoryMb: '4096' })).toEqual({
    instances: null,
    cpuMillis: null,
    memoryMb: 4096,
    terminals: 5,
  });
  expect(changedQuotas(quotas, { ...texts, instances: 'many' })).toBeNull();
});
