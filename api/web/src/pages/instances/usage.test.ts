import { expect, test } from 'vitest';
import { anInstance } from '@/test/examples';
import { BLOCK, blocks } from './usage';

const many = Array.from({ length: 120 }, (_, index) =>
  anInstance({ id: `i${index}`, status: index % 2 ? 'stopped' : 'running' }),
);

test('rows on the screen are asked for by the block, and only those that run', () => {
  const first = blocks(many, 3, 12);
  expect(first).toHaveLength(1);
  expect(first[0]).toHaveLength(BLOCK / 2);
  expect(blocks(many, 20, 30)).toEqual(first);
  expect(blocks(many, 45, 60).map((ids) => ids[0])).toEqual(['i0', 'i50']);
  expect(blocks(many, 110, 130).map((ids) => ids.length)).toEqual([10]);
  expect(blocks([anInstance({ status: 'stopped' })], 0, 0)).toEqual([]);
  expect(blocks([], 0, 0)).toEqual([]);
});
