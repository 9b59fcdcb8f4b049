/**
 * The text for a word of the API's. While an update rolls out, a newer version says words that this page does not know: what is shown
 * then is that, and not nothing.
 */
export function wordFor<T>(texts: Readonly<Record<string, T>>, word: string, unknown: T): T {
  return Object.hasOwn(texts, word) ? (texts[word] as T) : unknown;
}
