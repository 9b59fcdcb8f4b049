import { expect, it } from 'vitest';
import { readJobsSearch } from './search';

it('reads from an address which jobs are wanted, and nothing else', () => {
  expect(readJobsSearch({ status: ['failed', 'dead', 'queued'], kind: 'update', q: ' port ', page: 3 })).toEqual({
    status: ['queued', 'failed'],
    kind: 'update',
    q: 'port',
  });
  expect(readJobsSearch({ status: 'failed', kind: 'explode', owner: 7 })).toEqual({ status: ['failed'], owner: '7' });
  expect(readJobsSearch({})).toEqual({});
});
