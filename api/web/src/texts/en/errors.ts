/** Words for codes, where they are better than what the server says; everything else is said in the server's words. */
const codes: Record<string, string> = {
  offline: 'The server does not answer. Check your connection and try again.',
  unknown: 'Something unforeseen happened. Try again in a moment.',
  undo_failed:
    'The last change could not be undone. An administrator has to retry its job first; until then the instance can only be deleted.',
};

/** Words for what is wrong with a single field, likewise. */
const fields: Record<string, string> = {};

export const errors = {
  codes,
  fields,
  left: (what: string) => `One account's instances may not have so much together. This one may have ${what} at most.`,
  nothingLeft: "One account's other instances have all that they may have together.",
  toast: (what: string) => `${what} failed`,
};
