/**
 * A set of blocks as ranges, `from` to `to` (exclusive), ascending and never touching: a whole disk that was discarded
 * is one of them.
 */
export type BlockRange = readonly [from: number, to: number];

export class BlockRanges {
  #ranges: BlockRange[] = [];
  /** Blocks in the set. */
  size = 0;

  has(block: number): boolean {
    const range = this.#ranges[this.#firstEndingBehind(block)];
    return range !== undefined && range[0] <= block;
  }

  /** Adds `from` to `to`, exclusive. */
  add(from: number, to: number): void {
    if (from >= to) return;
    // Those that touch are joined: the first may end right at `from`.
    const first = this.#firstEndingBehind(from - 1);
    let [start, end] = [from, to];
    let behind = first;
    for (; behind < this.#ranges.length && this.#ranges[behind]![0] <= to; behind++) {
      const [a, b] = this.#ranges[behind]!;
      start = Math.min(start, a);
      end = Math.max(end, b);
      this.size -= b - a;
    }
    this.#ranges.splice(first, behind - first, [start, end]);
    this.size += end - start;
  }

  save(): readonly BlockRange[] {
    return [...this.#ranges];
  }

  restore(ranges: readonly BlockRange[]): void {
    this.#ranges = [...ranges];
    this.size = ranges.reduce((sum, [from, to]) => sum + to - from, 0);
  }

  /** Index of the first range whose end lies behind `block`. */
  #firstEndingBehind(block: number): number {
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ranges[middle]![1] > block) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
