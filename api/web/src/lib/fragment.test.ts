import { act, renderHook } from '@testing-library/react';
import { expect, test } from 'vitest';
import { takeFragment, useFragment } from './fragment';

test('a token leaves the address at once, however it was cut off', () => {
  history.replaceState(null, '', '/invitation?a=1#to%2Fken');
  expect(takeFragment()).toBe('to/ken');
  expect(location.href).toMatch(/\/invitation\?a=1$/);
  expect(takeFragment()).toBe('');
  history.replaceState(null, '', '/invitation#cut%2');
  expect(takeFragment()).toBe('cut%2');
});

test('another link in the same tab counts, and what takes the token away does not', () => {
  history.replaceState(null, '', '/invitation#first');
  const { result } = renderHook(() => useFragment());
  expect(result.current).toBe('first');
  act(() => void dispatchEvent(new Event('hashchange')));
  expect(result.current).toBe('first');
  history.replaceState(null, '', '/invitation#second');
  act(() => void dispatchEvent(new Event('hashchange')));
  expect(result.current).toBe('second');
  expect(location.hash).toBe('');
});
