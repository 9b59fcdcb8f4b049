import { isOwnPath } from './own-path';

/** How a provider of identities, or the way there, can have failed. */
const ERRORS = [
  'oidc_refused',
  'oidc_failed',
  'oidc_unknown_account',
  'oidc_email_missing',
  'oidc_email_verified_missing',
  'oidc_email_unverified',
  'oidc_unavailable',
] as const;
type SignInError = (typeof ERRORS)[number];

/** Where somebody wanted to go, and what became of the sign-in elsewhere. */
export function signInSearch(search: Record<string, unknown>): { to?: string; error?: SignInError } {
  const error = ERRORS.find((one) => one === search.error);
  return { ...(isOwnPath(search.to) ? { to: search.to } : {}), ...(error ? { error } : {}) };
}
