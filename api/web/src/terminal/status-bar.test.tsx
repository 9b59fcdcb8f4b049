import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import type { ConnectionState } from './connection';
import { StatusBar } from './status-bar';
import type { Tab } from './workspace';

type Warning = { code: string; message: string } | null;

function show(state: ConnectionState, more: { command?: Tab['command']; warning?: Warning; awake?: boolean } = {}) {
  const view = { state, warning: more.warning ?? null };
  const session = { subscribe: () => () => {}, view: () => view, reconnect: vi.fn() };
  const tab = { key: 1, number: 1, command: more.command ?? null, session } as unknown as Tab;
  const onAgain = vi.fn();
  const onClose = vi.fn();
  render(<StatusBar tab={tab} awake={more.awake ?? true} onAgain={onAgain} onClose={onClose} />);
  const buttons = screen.queryAllByRole('button').map((button) => button.textContent);
  return { buttons, onAgain, onClose, said: screen.getByRole('status').textContent, session };
}

const ended = (
  reason: Extract<ConnectionState, { is: 'ended' }>['reason'],
  message = '',
  exitCode: number | null = null,
) => ({ is: 'ended', reason, exitCode, message }) as const;

it('says with which code a command ended, and runs it again', () => {
  const { buttons, onAgain, said } = show(ended('exited', '', 3), { command: 'openclaw doctor' });
  expect(said).toBe('Ended with exit code 3.');
  expect(buttons).toEqual(['Run again', 'Open a shell', 'Close']);
  fireEvent.click(screen.getByText('Run again'));
  expect(onAgain).toHaveBeenCalledWith('openclaw doctor');
});

it('offers to come back only where something may still be there', () => {
  expect(show(ended('gone')).buttons).toEqual(['Open a shell', 'Close']);
});

it('says that it waits for the instance, and offers to try again if that did not wake', () => {
  expect(show({ is: 'opening' }).said).toBe('Opening…');
  cleanup();
  expect(show({ is: 'opening' }, { awake: false }).said).toBe('Waking up the instance…');
  cleanup();
  const { buttons, said } = show(ended('asleep'));
  expect(said).toBe('The instance did not wake up in time.');
  expect(buttons).toEqual(['Try again', 'Open a shell', 'Close']);
});

it('takes a terminal back from another window when asked to', () => {
  const { session } = show(ended('elsewhere'));
  fireEvent.click(screen.getByText('Take it back'));
  expect(session.reconnect).toHaveBeenCalledOnce();
});

it('says why it was not opened in the words of the server', () => {
  expect(show(ended('refused', 'You have five terminals open. Close one.')).said).toBe(
    'You have five terminals open. Close one.',
  );
});

it('tries again at once when somebody does not want to wait', () => {
  const { buttons, said } = show({ is: 'reconnecting', attempt: 4 });
  expect(said).toContain('Reconnecting');
  expect(buttons).toEqual(['Reconnect']);
});

it('shows a warning in place of the state', () => {
  const warning = { code: 'idle', message: 'Nothing was typed for 29 minutes.' };
  expect(show({ is: 'open' }, { warning }).said).toBe(warning.message);
});
