import { expect, it } from 'vitest';
import { waves } from './waves';

const member = (
  instanceId: string,
  wave: number,
  status: 'waiting' | 'updating' | 'updated' | 'failed' | 'skipped',
) => ({
  instanceId,
  wave,
  status,
  ran: true,
});

it('puts instances into their waves, in the order of the waves', () => {
  const found = waves([
    member('c', 3, 'waiting'),
    member('a', 1, 'updated'),
    member('b', 2, 'updating'),
    member('d', 3, 'waiting'),
  ]);
  expect(found.map(({ wave, members }) => [wave, members.map((one) => one.instanceId)])).toEqual([
    [1, ['a']],
    [2, ['b']],
    [3, ['c', 'd']],
  ]);
});

it('says which waves are over', () => {
  const found = waves([member('a', 1, 'failed'), member('b', 2, 'skipped'), member('c', 2, 'updating')]);
  expect(found.map((wave) => wave.over)).toEqual([true, false]);
  expect(waves([])).toEqual([]);
});
