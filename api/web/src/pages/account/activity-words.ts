/** What an entry is about, as people know it: by its name where the entry has one. Ids of jobs and people say nothing to anybody. */
export function named(entry: { targetKind: string; targetId: string; detail: object }): string | undefined {
  const { name } = entry.detail as { name?: unknown };
  if (typeof name === 'string' && name) return name;
  return entry.targetKind === 'instance' ? entry.targetId : undefined;
}
