// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const SEQUENCES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-_])/g;

/** A line of a terminal's output without its colours and the like. */
export function plain(text: string): string {
  return text.replace(SEQUENCES, '');
}
