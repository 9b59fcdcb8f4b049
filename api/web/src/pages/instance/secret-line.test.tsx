import { fireEvent, render, screen } from '@testing-library/react';
import { expect, test, vi } from 'vitest';
import { SecretLine } from './secret-line';

const SECRET = 'f0'.repeat(32);

test('a secret is in the page only while somebody looks at it', () => {
  const { container } = render(<SecretLine value={SECRET} what="token" />);
  expect(container.innerHTML).not.toContain(SECRET);
  fireEvent.click(screen.getByRole('button', { name: 'Show token' }));
  expect(container.innerHTML).toContain(SECRET);
  fireEvent.click(screen.getByRole('button', { name: 'Hide token' }));
  expect(container.innerHTML).not.toContain(SECRET);
});

test('it can be copied without being shown', async () => {
  const writeText = vi.fn(() => Promise.resolve());
  vi.stubGlobal('navigator', { clipboard: { writeText } });
  const { container } = render(<SecretLine value={SECRET} what="token" />);
  fireEvent.click(screen.getByRole('button', { name: 'Copy token' }));
  expect(writeText).toHaveBeenCalledWith(SECRET);
  expect(container.innerHTML).not.toContain(SECRET);
  vi.unstubAllGlobals();
});
