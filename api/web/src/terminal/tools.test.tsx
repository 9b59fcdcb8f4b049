import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import { expect, it } from 'vitest';
import { OpenMenu } from './tools';

/** The menu beside a terminal. */
function show() {
  const focus = () => {
    screen.getByLabelText('Screen').focus();
    return true;
  };
  render(
    <>
      <OpenMenu onOpen={() => {}} onOpened={focus} />
      <textarea aria-label="Screen" />
    </>,
  );
  const button = screen.getByRole('button', { name: 'Open a terminal' });
  fireEvent.keyDown(button, { key: 'Enter' });
  return button;
}

const closed = () => waitFor(() => expect(screen.queryByRole('menu')).toBeNull());
/** The menu gives the focus away a moment after it has gone. */
const settled = () => new Promise((settle) => setTimeout(settle, 20));

it('gives the focus to the terminal that was opened when the menu has closed', async () => {
  show();
  fireEvent.click(screen.getByRole('menuitem', { name: 'Shell' }));
  await closed();
  await settled();
  expect(document.activeElement).toBe(screen.getByLabelText('Screen'));
});

it('gives the focus back to the button when nothing was opened', async () => {
  const button = show();
  fireEvent.keyDown(screen.getByRole('menu'), { key: 'Escape' });
  await closed();
  await waitFor(() => expect(document.activeElement).toBe(button));
});
