import { expect, it } from 'vitest';
import type { Schemas } from '@/api/contract';
import { aJob } from '@/test/examples';
import { en } from '@/texts/en';
import { waitWords } from './waiting';

const words = (waitsFor: Schemas['WaitsFor'], more: Partial<Schemas['JobView']> = {}) => {
  const queue = { queue: 'lifecycle' as const, position: 2, workers: 1, waitsFor, message: '' };
  return waitWords({ ...aJob({ status: 'queued', ...more }), queue }, en.jobs, () => 'in 5 seconds');
};

it('says what a job waits for', () => {
  expect(words('resume')).toContain('paused');
  expect(words('worker')).toContain('No worker is available');
  expect(words('docker')).toContain('Docker');
  expect(words('time')).toContain('starts in 5 seconds');
  expect(words('turn')).toBe('Number 2 in the queue');
  expect(waitWords(aJob(), en.jobs, String)).toBe('Waiting');
});

it('knows a build from any other job that comes before', () => {
  expect(words('job')).toBe(en.jobs.waitsFor.job);
  expect(words('job', { dependsOn: 'x' })).toBe(en.jobs.waitsForBuild);
  expect(words('job', { dependsOn: 'x', startedAt: '2026-11-25T12:00:00Z' })).toBe(en.jobs.waitsFor.job);
});
