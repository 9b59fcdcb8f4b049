import { readText } from '../jobs/search';

export const SPANS = ['day', 'week', 'month', 'all'] as const;
export type Span = (typeof SPANS)[number];

export const OUTCOMES = ['success', 'failure'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Which entries are shown, as the address says. */
export type AuditSearch = {
  actor?: string;
  action?: string;
  target?: string;
  outcome?: Outcome;
  span?: Exclude<Span, 'all'>;
};

export function readAuditSearch(search: Record<string, unknown>): AuditSearch {
  const actor = readText(search.actor);
  const action = readText(search.action);
  const target = readText(search.target);
  const outcome = OUTCOMES.find((one) => one === search.outcome);
  const span = SPANS.find((one) => one === search.span);
  return {
    ...(actor ? { actor } : {}),
    ...(action ? { action } : {}),
    ...(target ? { target } : {}),
    ...(outcome ? { outcome } : {}),
    ...(span && span !== 'all' ? { span } : {}),
  };
}
