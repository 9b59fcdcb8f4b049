import { expect, test } from 'vitest';
import { signInSearch } from './sign-in-search';

test('the door takes a way back and errors that it has words for, and nothing else', () => {
  expect(signInSearch({ to: '/profile', error: 'oidc_refused' })).toEqual({ to: '/profile', error: 'oidc_refused' });
  expect(signInSearch({ to: '//evil.example', error: 'Call +1 555 0100', more: 1 })).toEqual({});
});
