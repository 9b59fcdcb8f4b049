/** A part of a build's log: its text, and at which bytes of the whole it begins and ends. */
export type LogPart = { from: number; to: number; text: string };

/** What is known of a log. `cut`: its beginning is not kept. */
export type LogText = { text: string; to: number; cut: boolean };

/** Most that is shown, in characters: beyond it a browser becomes slow, and the end is what one looks for. */
export const MOST = 400_000;

export const EMPTY: LogText = { text: '', to: 0, cut: false };

/** A log with its next part. A part that does not fit begins a new log: the build was begun anew, or its beginning is gone. */
export function withPart(log: LogText, part: LogPart): LogText {
  const fits = part.from === log.to && log.to > 0;
  const whole = fits ? log.text + part.text : part.text;
  const cut = fits ? log.cut : part.from > 0;
  if (whole.length <= MOST) return { text: whole, to: part.to, cut };
  const line = whole.indexOf('\n', whole.length - MOST);
  return { text: whole.slice(line < 0 ? whole.length - MOST : line + 1), to: part.to, cut: true };
}
