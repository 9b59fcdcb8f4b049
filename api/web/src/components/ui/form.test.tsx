import { fireEvent, render, screen } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { Form } from './form';

function show(isError: boolean) {
  const [reset, onSend] = [vi.fn(), vi.fn()];
  const form = (refused: boolean) => (
    <Form sending={{ isError: refused, reset }} onSend={onSend}>
      <input aria-label="Name" />
    </Form>
  );
  const { rerender } = render(form(isError));
  return { reset, onSend, refuse: () => rerender(form(true)) };
}

it('forgets what was refused when something in it changes, and not before', () => {
  const { reset, refuse } = show(false);
  const name = screen.getByLabelText('Name');
  fireEvent.change(name, { target: { value: 'a' } });
  refuse();
  expect(reset).not.toHaveBeenCalled();
  fireEvent.change(name, { target: { value: 'ab' } });
  expect(reset).toHaveBeenCalledOnce();
});

it('knows nothing of what was refused before it was opened', () => {
  expect(show(true).reset).toHaveBeenCalledOnce();
});

it('is sent without leaving the page', () => {
  const { onSend } = show(false);
  expect(fireEvent.submit(screen.getByLabelText('Name').closest('form') as HTMLFormElement)).toBe(false);
  expect(onSend).toHaveBeenCalledOnce();
});
