// What this browser remembers of a person's taste. Never a secret.

/** What was kept under a name; null: nothing, or storage is forbidden. */
export function recall(name: string): string | null {
  try {
    return localStorage.getItem(`clawdeploy.${name}`);
  } catch {
    return null;
  }
}

export function keep(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`clawdeploy.${name}`);
    else localStorage.setItem(`clawdeploy.${name}`, value);
  } catch {
    // Then it is forgotten with the page.
  }
}
