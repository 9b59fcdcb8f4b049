/** Words for codes, where they are better than what the server says; everything else is said in the server's words. */
const codes: Record<string, string> = {
  offline: 'The server is not responding. Check your connection and try again.',
  unknown: 'Something went wrong. Try again in a moment.',
  wake_timeout: 'The instance did not wake up in time. Try again in a moment.',
  wake_cancelled: 'Waking up was cancelled.',
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
  hostLeft: (what: string) =>
    `The server’s memory is nearly used up. This instance can have at most ${what}. For more, stop an instance that you do not need.`,
  hostFull: 'The server is full. Stop an instance that you do not need, or ask an administrator for more room.',
  toast: (what: string) => `"${what}" failed`,
};
