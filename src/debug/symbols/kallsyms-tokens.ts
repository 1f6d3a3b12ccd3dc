/** The dictionary of a kernel's symbol names: `kallsyms_token_table` and `kallsyms_token_index`. */

/**
 * 256 strings, one after the other, each ended by a zero, and the offset of each as u16:
 *
 *     token_table   "_t\0" "ext\0" … "0\0" "1\0" … "a\0" …      names are made of these, one byte a token
 *     (padding)
 *     token_index   0, 3, 7, …                                   where each begins
 *
 * A character that some name has alone is its own token, so "0" to "9" stand in a row at 0x30: that is what is looked
 * for. The index then proves it.
 */
export interface TokenTable {
  readonly tokens: readonly string[];
  /** Offsets within the memory that was searched. */
  readonly start: number;
  readonly indexEnd: number;
}

const TOKENS = 256;
const FIRST_DIGIT = 0x30;
const DIGITS = Buffer.from(Array.from({ length: 10 }, (_, i) => `${i}\0`).join(''), 'latin1');
const MAX_TOKEN = 64;
/** Between the end of the strings and the index. */
const MAX_PADDING = 256;
/** The row of digits is rare; hostile memory full of it must not keep us. */
const MAX_CANDIDATES = 64;

/** All that `memory` holds, almost always one or none. */
export function* findTokenTables(memory: Buffer): Generator<TokenTable> {
  let candidates = 0;
  for (let at = memory.indexOf(DIGITS); at >= 0; at = memory.indexOf(DIGITS, at + 1)) {
    if (++candidates > MAX_CANDIDATES) return;
    const table = tableAround(memory, at);
    if (table) yield table;
  }
}

function tableAround(memory: Buffer, digits: number): TokenTable | undefined {
  // Back over the zeros that end the 48 tokens before "0"; the one before those ends whatever lies before the table.
  let at = digits - 1;
  for (let zeros = 0; zeros < FIRST_DIGIT; zeros++) {
    const next = memory.lastIndexOf(0, at - 1);
    if (next < 0 || at - next > MAX_TOKEN + 1) return undefined;
    at = next;
  }
  const start = at + 1;
  const offsets = new Uint16Array(TOKENS);
  const tokens: string[] = [];
  let end = start;
  for (let i = 0; i < TOKENS; i++) {
    const zero = memory.indexOf(0, end);
    if (zero < 0 || zero - end > MAX_TOKEN) return undefined;
    offsets[i] = end - start;
    tokens.push(memory.toString('latin1', end, zero));
    end = zero + 1;
  }
  const index = Buffer.from(offsets.buffer);
  const found = memory.subarray(end, end + MAX_PADDING + index.length).indexOf(index);
  return found < 0 ? undefined : { tokens, start, indexEnd: end + found + index.length };
}
