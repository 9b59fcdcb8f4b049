import { QueryClientProvider } from '@tanstack/react-query';
import { render, screen } from '@testing-library/react';
import { expect, test } from 'vitest';
import { queryClient } from '@/api/query-client';
import { aJob, anInstance } from '@/test/examples';
import { SleepNotice, Woke } from './sleep-notice';

const inMinutes = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString();

function show(wakesAt: string | null, more = {}) {
  const instance = anInstance({ status: 'stopped', asleep: { since: inMinutes(-5), wakesAt }, ...more });
  const { container } = render(
    <QueryClientProvider client={queryClient}>
      <SleepNotice instance={instance} />
    </QueryClientProvider>,
  );
  return container.textContent;
}

test('an instance that sleeps says since when, what wakes it, and offers to', () => {
  const said = show(inMinutes(180));
  expect(said).toContain('It fell asleep 5 minutes ago because nobody used it.');
  expect(said).toContain('Its schedule wakes it in 3 hours (');
  expect(screen.getByRole('button').textContent).toBe('Wake up');
});

test('what is due already is due now, and what is not scheduled is not mentioned', () => {
  expect(show(inMinutes(-1))).toContain('wakes it now');
  expect(show(null)).not.toContain('schedule');
});

test('nothing is said of others, or while it wakes', () => {
  expect(show(null, { currentJob: aJob() })).toBe('');
  expect(show(null, { asleep: null })).toBe('');
  expect(show(null, { status: 'running' })).toBe('');
});

test('a wake says why, if this page knows the word', () => {
  const said = (by: string) => render(<Woke wake={{ at: inMinutes(-5), by: by as 'address' }} />).container.textContent;
  expect(said('address')).toBe('5 minutes ago: its address was opened');
  expect(said('moonlight')).toBe('5 minutes ago');
});
