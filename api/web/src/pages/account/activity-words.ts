/**
 * What an entry is about, as people know it: by its name, or a person's e-mail, where the entry has one. Ids of jobs and
 * people say nothing to anybody.
 */
export function named(entry: { targetKind: string; targetId: string; detail: object }): string | undefined {
  const { name, email } = entry.detail as { name?: unknown; email?: unknown };
  if (typeof name === 'string' && name) return name;
  if (typeof email === 'string' && email) return email;
  return entry.targetKind === 'instance' ? entry.targetId : undefined;
}
