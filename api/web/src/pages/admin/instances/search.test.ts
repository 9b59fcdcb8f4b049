import { expect, test } from 'vitest';
import { readInstancesSearch } from './search';

test('an address says what is looked for, or nothing', () => {
  expect(readInstancesSearch({ q: ' ann ', state: 'error' })).toEqual({ q: 'ann', state: 'error' });
  // A router reads digits as a number.
  expect(readInstancesSearch({ q: 100 })).toEqual({ q: '100' });
  expect(readInstancesSearch({ q: 'x'.repeat(300) }).q).toHaveLength(200);
  for (const nothing of [{}, { q: ' ' }, { q: ['a'] }, { name: 'a' }, { state: 'pending' }, { state: ['error'] }])
    expect(readInstancesSearch(nothing)).toEqual({});
});
