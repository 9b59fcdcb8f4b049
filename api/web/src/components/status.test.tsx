import { render, screen } from '@testing-library/react';
import { expect, test } from 'vitest';
import type { Instance } from '@/api/instances';
import { aJob, anInstance } from '@/test/examples';
import { StatusBadge } from './status';

const asleep = { since: '2026-11-25T12:00:00Z', wakesAt: null };

test.each<[string, Partial<Instance>]>([
  ['Running', {}],
  ['Stopped', { status: 'stopped' }],
  ['Sleeping', { status: 'stopped', asleep }],
  // An older server says nothing of sleep.
  ['Stopped', { status: 'stopped', asleep: null }],
  ['Starting', { status: 'stopped', asleep, currentJob: aJob({ kind: 'start' }) }],
  ['Error', { status: 'error', asleep }],
])('%s', (word, instance) => {
  render(<StatusBadge instance={anInstance(instance)} />);
  expect(screen.getByText(word)).toBeTruthy();
});
