import { QueryClientProvider } from '@tanstack/react-query';
import { act, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Instance } from '@/api/instances';
import { queryClient } from '@/api/query-client';
import { aJob, anInstance } from '@/test/examples';
import { OpenDashboard } from './open-dashboard';
import { Toasts } from './toasts';

const job = aJob({ id: 'wakes' });
const asleep = { status: 'stopped', asleep: { since: '2026-11-25T12:00:00Z' } } as const;
const link = 'https://first.example/#bootstrapToken=secret';

/** The instance as the server has it. */
let runs: boolean;
let fails: boolean;
const tab = {
  document: document.implementation.createHTMLDocument(),
  closed: false,
  close: vi.fn(),
  location: { replace: vi.fn() },
};

beforeEach(() => {
  vi.useFakeTimers();
  runs = false;
  fails = false;
  vi.spyOn(window, 'open').mockReturnValue(tab as unknown as Window);
  vi.stubGlobal('fetch', async (request: Request) => {
    if (request.url.endsWith('/dashboard-link')) {
      return runs ? Response.json({ url: link }) : Response.json({ code: 'waking', job }, { status: 409 });
    }
    const error = { code: 'gateway_exited', message: 'The gateway exited.' };
    return Response.json(
      fails ? { ...job, status: 'failed', error } : { ...job, status: runs ? 'succeeded' : 'running' },
    );
  });
});

afterEach(() => {
  vi.clearAllMocks();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const page = (instance: Partial<Instance>) => (
  <QueryClientProvider client={queryClient}>
    <OpenDashboard instance={anInstance(instance)} />
    <Toasts />
  </QueryClientProvider>
);
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
const button = () => screen.queryByRole('button', { name: /Dashboard|Waking/ });

it('is there for an instance that runs or sleeps', () => {
  const { rerender } = render(page({}));
  expect(button()).toBeTruthy();
  rerender(page(asleep));
  expect(button()).toBeTruthy();
  rerender(page({ status: 'stopped' }));
  expect(button()).toBeNull();
});

it('wakes an instance that sleeps, and then opens its dashboard in the tab of the click', async () => {
  const { rerender } = render(page(asleep));
  button()?.focus();
  fireEvent.click(screen.getByText('Open Dashboard'));
  await pass(1_500);
  expect(button()?.textContent).toBe('Waking up…');
  expect(tab.document.body.textContent).toBe('Waking up first…');

  // Its status is another by now: the button stays, with the focus.
  rerender(page({ status: 'starting', currentJob: job }));
  expect(button()?.textContent).toBe('Waking up…');
  expect(document.activeElement).toBe(button());
  expect(tab.location.replace).not.toHaveBeenCalled();
  runs = true;
  await pass(1_500);
  rerender(page({}));
  expect(tab.location.replace).toHaveBeenCalledExactlyOnceWith(link);
  expect(window.open).toHaveBeenCalledOnce();
  expect(button()?.textContent).toBe('Open Dashboard');
});

it('says why it did not wake, and takes the empty tab away', async () => {
  fails = true;
  render(page(asleep));
  fireEvent.click(screen.getByText('Open Dashboard'));
  await pass(1_500);
  expect(tab.close).toHaveBeenCalledOnce();
  expect(screen.getByText('The dashboard of first could not be opened')).toBeTruthy();
  expect(screen.getByText('The gateway exited.')).toBeTruthy();
});
