/** A line through the values of an hour, as an SVG path in a box of `width` by `height`: one a minute, `null` where there is none. */
export function sparkPath(values: readonly (number | null)[], top: number, width: number, height: number): string {
  const step = width / Math.max(1, values.length - 1);
  let drawn = '';
  values.forEach((value, index) => {
    if (value === null) return;
    const before = values[index - 1] ?? null;
    const after = values[index + 1] ?? null;
    const x = index * step;
    const y = height - (Math.min(Math.max(value, 0), top) / top) * height;
    const at = `${x.toFixed(1)} ${y.toFixed(1)}`;
    if (before !== null) drawn += `L${at}`;
    // A minute with nothing around it is a dot.
    else drawn += after === null ? `M${at}h.1` : `M${at}`;
  });
  return drawn;
}

/** The newest value; `undefined`: there is none of the last minutes, so that what is shown is not what is. */
export function newest(values: readonly (number | null)[], within = 5): number | undefined {
  return values.slice(-within).findLast((value) => value !== null) ?? undefined;
}
