/** A piece of a text: one that was looked for, or what stands between two. */
export type Piece = { text: string; hit: boolean };

/** A text in pieces, so that what was looked for can be marked in it. Capitals do not matter. */
export function pieces(text: string, sought: string): Piece[] {
  if (sought === '') return [{ text, hit: false }];
  const escaped = sought.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const split = text.split(new RegExp(`(${escaped})`, 'giu'));
  return split.map((piece, index) => ({ text: piece, hit: index % 2 === 1 })).filter((piece) => piece.text !== '');
}
