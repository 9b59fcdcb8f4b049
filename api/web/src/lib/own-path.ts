/** Whether this is a path of ours. A link must not lead a person elsewhere after the password. */
export function isOwnPath(to: unknown): to is string {
  return typeof to === 'string' && /^\/(?![/\\])/.test(to);
}
