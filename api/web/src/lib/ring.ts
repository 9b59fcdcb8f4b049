/** The last lines of something that goes on: those that fall off at the front are counted. */
export class Ring<T> {
  readonly items: readonly T[];
  readonly dropped: number;

  constructor(items: readonly T[] = [], dropped = 0) {
    this.items = items;
    this.dropped = dropped;
  }

  /** With more at its end, and at most `most` in all. */
  push(more: readonly T[], most: number): Ring<T> {
    const all = [...this.items, ...more];
    const over = Math.max(0, all.length - most);
    return new Ring(all.slice(over), this.dropped + over);
  }
}
