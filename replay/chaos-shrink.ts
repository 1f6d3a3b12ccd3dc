/**
 * Shrinking a failure: from a list of causes, most of them innocent, to one from which nothing can be left out.
 *
 * The list is in the order of time, and leaving out an early cause moves all that follows: few parts of it fail as the
 * whole did. So first what may need few tries: the shortest beginning that fails and its last cause alone; some causes alone;
 * short beginnings and ends. Only then comes delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating
 * Failure-Inducing Input", 2002): halves, then all but a part, with parts that become smaller and smaller.
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
  { maxTries = 2000, onSmaller = () => {}, isStopped = () => false }: ShrinkOptions = {},
): Promise<Shrunk<T>> {
  let current = list;
  let parts = 2;
  let tries = 0;
  if (current.length > 0) {
    tries++;
    if ((await fails([[]])) === 0) return { list: [], tries, minimal: true };
  }
  const first = async (candidates: readonly (readonly T[])[]): Promise<number> => {
    const tried = isStopped() ? [] : candidates.slice(0, maxTries - tries);
    tries += tried.length;
    return tried.length === 0 ? -1 : fails(tried);
  };
  const adopt = (smaller: readonly T[]): void => {
    if (smaller.length === current.length) return;
    current = smaller;
    onSmaller(current.length, tries);
  };
  adopt(await shortest(current, beginning, 1, first));
  if (current.length > 1 && (await first([current.slice(-1)])) === 0) adopt(current.slice(-1));
  for (let at = 0; at < MAX_SINGLES && at < current.length && current.length > 1; at += AT_ONCE) {
    const singles = spread(current, at, AT_ONCE);
    const found = await first(singles);
    if (found >= 0) adopt(singles[found]!);
  }
  for (const keep of [beginning, end]) if (current.length > 1) adopt(await shortest(current, keep, AT_ONCE, first));
  while (current.length >= 2) {
    if (tries >= maxTries || isStopped()) return { list: current, tries, minimal: false };
    const pieces = split(current, parts);
    const complements = parts === 2 ? [] : pieces.map((_, i) => pieces.flatMap((piece, j) => (i === j ? [] : piece)));
    const all = [...pieces, ...complements];
    const before = tries;
    const found = await first(all);
    if (found < 0 && (isStopped() || tries - before < all.length)) return { list: current, tries, minimal: false };
    if (found >= 0) {
      adopt(all[found]!);
      parts = found < pieces.length ? 2 : Math.max(2, parts - 1);
    } else if (parts >= current.length) break;
    else parts = Math.min(current.length, 2 * parts);
  }
  return { list: current, tries, minimal: true };
}

type Keep = <T>(list: readonly T[], count: number) => readonly T[];
const beginning: Keep = (list, count) => list.slice(0, count);
const end: Keep = (list, count) => list.slice(list.length - count);

/** Candidates tried before the answers are looked at: several processors may be at it. */
const AT_ONCE = 8;
/** How many causes are tried alone. */
const MAX_SINGLES = 64;

/** Lists of one, from the `from`th on in an order that leaps all over the list. */
function spread<T>(list: readonly T[], from: number, count: number): T[][] {
  const leap = (at: number) => Math.floor(((at * 0.6180339887498949) % 1) * list.length);
  return Array.from({ length: Math.min(count, list.length - from) }, (_, i) => [list[leap(from + i)]!]);
}

/**
 * The shortest part that fails, by parting the lengths again and again, `atOnce` of them at a time: the shortest of these that
 * fails counts. Where it is not a matter of more or fewer, the answer fails all the same.
 */
async function shortest<T>(
  list: readonly T[],
  keep: Keep,
  atOnce: number,
  first: (candidates: readonly (readonly T[])[]) => Promise<number>,
): Promise<readonly T[]> {
  let [none, all] = [0, list.length];
  while (all - none > 1) {
    const count = Math.min(atOnce, all - none - 1);
    const lengths = Array.from({ length: count }, (_, i) => none + Math.ceil(((i + 1) * (all - none)) / (count + 1)));
    const found = await first(lengths.map((length) => keep(list, length)));
    if (found >= 0) all = lengths[found]!;
    none = found < 0 ? lengths.at(-1)! : (lengths[found - 1] ?? none);
  }
  return keep(list, all);
}

/** `parts` pieces of nearly equal length, in order. */
function split<T>(list: readonly T[], parts: number): T[][] {
  return Array.from({ length: parts }, (_, i) =>
    list.slice(Math.floor((i * list.length) / parts), Math.floor(((i + 1) * list.length) / parts)),
  );
}
