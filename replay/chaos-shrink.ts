/**
 * Shrinking a failure: from a list of causes, most of them innocent, to one from which nothing can be left out. Delta
 * debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002): tries halves, then all
 * but a part, with parts that become smaller and smaller.
 */

export interface ShrinkOptions {
  /** Candidates tried at most. */
  readonly maxTries?: number;
  /** Called when a smaller list was found to fail. */
  readonly onSmaller?: (length: number, tries: number) => void;
  /** Looked at between tries: true ends the work with what there is. */
  readonly isStopped?: () => boolean;
}

export interface Shrunk<T> {
  readonly list: readonly T[];
  readonly tries: number;
  /** Nothing can be left out; otherwise the tries were used up. */
  readonly minimal: boolean;
}

/**
 * @param fails of several candidates, in order: the index of the first that fails, or -1. May try them at the same time.
 * @returns a part of `list`, in its order. If `list` fails, so does that.
 */
export async function shrink<T>(
  list: readonly T[],
  fails: (candidates: readonly (readonly T[])[]) => Promise<number>,
  { maxTries = 1000, onSmaller = () => {}, isStopped = () => false }: ShrinkOptions = {},
): Promise<Shrunk<T>> {
  let current = list;
  let parts = 2;
  let tries = 0;
  if (current.length > 0) {
    tries++;
    if ((await fails([[]])) === 0) return { list: [], tries, minimal: true };
  }
  while (current.length >= 2) {
    if (tries >= maxTries || isStopped()) return { list: current, tries, minimal: false };
    const pieces = split(current, parts);
    const complements = parts === 2 ? [] : pieces.map((_, i) => pieces.flatMap((piece, j) => (i === j ? [] : piece)));
    const all = [...pieces, ...complements];
    const candidates = all.slice(0, maxTries - tries);
    tries += candidates.length;
    const found = await fails(candidates);
    if (found < 0 && isStopped()) return { list: current, tries, minimal: false };
    if (found < 0 && candidates.length < all.length) return { list: current, tries, minimal: false };
    if (found >= 0) {
      current = candidates[found];
      parts = found < pieces.length ? 2 : Math.max(2, parts - 1);
      onSmaller(current.length, tries);
    } else if (parts >= current.length) break;
    else parts = Math.min(current.length, 2 * parts);
  }
  return { list: current, tries, minimal: true };
}

/** `parts` pieces of nearly equal length, in order. */
function split<T>(list: readonly T[], parts: number): T[][] {
  return Array.from({ length: parts }, (_, i) =>
    list.slice(Math.floor((i * list.length) / parts), Math.floor(((i + 1) * list.length) / parts)),
  );
}
