/** Words for codes, where they are better than what the server says; everything else is said in the server's words. */
const codes: Record<string, string> = {
  offline: 'The server is not responding. Check your connection and try again.',
  unknown: 'Something went wrong. Try again in a moment.',
  undo_failed:
    'The last change could not be undone. An administrator must retry its job first. Until then, the instance can only be deleted.',
};

/** Words for what is wrong with a single field, likewise. */
const fields: Record<string, string> = {};

export const errors = {
  codes,
  fields,
  left: (what: string) => `This exceeds the account’s total limit. This instance can have at most ${what}.`,
  nothingLeft: 'The account’s other instances already use its total limit.',
  toast: (what: string) => `"${what}" failed`,
};
