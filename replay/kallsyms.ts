/**
 * The symbols of a running Linux kernel, from the tables in its own memory (CONFIG_KALLSYMS; kernel/kallsyms.c and
 * scripts/kallsyms.c of Linux 6.1). No file is needed: the tables are found by their shape.
 *
 *     offsets i32[n] │ relative_base u64 │ num_syms u32 │ names: length, tokens… │ markers u32[n/256] │
 *     sequence numbers (newer kernels) │ token_table │ token_index u16[256]
 *
 * Each table begins on 8 bytes. A name is compressed: bytes that stand for tokens, of which the first byte's text begins
 * with the symbol's type. An offset >= 0 is an absolute (per-cpu) address; a negative one is relative_base - 1 - offset.
 */
import type { Domain } from '../src/hypervisor/domain.ts';
import { PAGE_SIZE } from '../src/memory/frames.ts';
import type { MachineMemory } from '../src/memory/frames.ts';

export interface KernelSymbol {
  readonly address: bigint;
  readonly name: string;
}

/** Bits of an address above which guests of this size have no kernel. */
const MAX_BYTES = 1 << 30;
const MARKER_STEP = 256;
const MAX_TOKEN = 64;
const MAX_SYMBOLS = 1 << 20;
/** Names, markers and sequence numbers together are smaller. */
const MAX_TABLES_BYTES = 16 << 20;

/** Finds the tables and decodes them, ascending by address; undefined if they are not there (yet). */
export function kernelSymbols(domain: Domain, frames: MachineMemory): KernelSymbol[] | undefined {
  return symbolsIn(physicalMemory(domain, frames));
}

/** The same in a copy of guest-physical memory. */
export function symbolsIn(memory: Buffer): KernelSymbol[] | undefined {
  for (let at = 0; ; at += 2) {
    at = memory.indexOf(DIGITS, at);
    if (at < 0) return undefined;
    const found = tablesAround(memory, at);
    if (found) return found;
  }
}

/** Tokens '0' to '9' one after the other: every kernel's names hold these characters, so each stands for itself. */
const DIGITS = Buffer.from('0\u00001\u00002\u00003\u00004\u00005\u00006\u00007\u00008\u00009\u0000', 'latin1');

function physicalMemory(domain: Domain, frames: MachineMemory): Buffer {
  const limit = MAX_BYTES / PAGE_SIZE;
  const mapped = [...domain.p2m.entries()].filter(([gfn]) => gfn < limit);
  const end = (mapped.at(-1)?.[0] ?? -1) + 1;
  const memory = Buffer.alloc(end * PAGE_SIZE);
  for (const [gfn, mfn] of mapped) memory.set(frames.frame(mfn), gfn * PAGE_SIZE);
  return memory;
}

function tablesAround(memory: Buffer, digits: number): KernelSymbol[] | undefined {
  const tokens = readTokens(memory, digits);
  if (tokens === undefined) return undefined;
  for (let names = Math.floor(tokens.start / 8) * 8; names > tokens.start - MAX_TABLES_BYTES && names >= 16; names -= 8) {
    if (namesAt(memory, names, tokens.start)) return decode(memory, names, tokens.texts);
  }
  return undefined;
}

function decode(memory: Buffer, names: number, tokens: readonly string[]): KernelSymbol[] | undefined {
  const count = memory.readUInt32LE(names - 8);
  const base = memory.readBigUInt64LE(names - 16);
  const offsets = names - 16 - Math.ceil((count * 4) / 8) * 8;
  if (offsets < 0) return undefined;
  const symbols: KernelSymbol[] = [];
  for (let i = 0, at = names; i < count; i++) {
    const { length, from } = nameAt(memory, at);
    let text = '';
    for (let k = from; k < from + length; k++) text += tokens[memory[k]!]!;
    at = from + length;
    const offset = memory.readInt32LE(offsets + 4 * i);
    const address = offset >= 0 ? BigInt(offset) : base - 1n - BigInt(offset);
    symbols.push({ address, name: text.slice(1) });
  }
  return symbols.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
}

/** The token table around token '0' (number 0x30): its start is what the index behind the last token says. */
function readTokens(memory: Buffer, digits: number): { start: number; texts: string[] } | undefined {
  let at = digits;
  for (let token = 0x30; token < 256; token++) {
    const end = memory.indexOf(0, at);
    if (end <= at || end - at > MAX_TOKEN) return undefined;
    at = end + 1;
  }
  const index = Math.ceil(at / 8) * 8;
  if (index + 512 > memory.length) return undefined;
  const start = digits - memory.readUInt16LE(index + 2 * 0x30);
  const texts: string[] = [];
  at = start;
  for (let token = 0; token < 256; token++) {
    if (at < 0 || memory.readUInt16LE(index + 2 * token) !== at - start) return undefined;
    const end = memory.indexOf(0, at);
    texts.push(memory.toString('latin1', at, end));
    at = end + 1;
  }
  return { start, texts };
}

/** True if names begin at `names`: a plausible count before them, and markers behind them that agree. */
function namesAt(memory: Buffer, names: number, limit: number): boolean {
  const count = memory.readUInt32LE(names - 8);
  if (count < MARKER_STEP || count > MAX_SYMBOLS || memory.readUInt32LE(names - 4) !== 0) return false;
  let at = names;
  let second = 0;
  for (let i = 0; i < count; i++) {
    if (i === MARKER_STEP) second = at - names;
    const { length, from } = nameAt(memory, at);
    at = from + length;
    if (length === 0 || at > limit) return false;
  }
  const markers = Math.ceil(at / 8) * 8;
  return memory.readUInt32LE(markers) === 0 && memory.readUInt32LE(markers + 4) === second;
}

/** Lengths of 128 and more take two bytes (Linux 6.1: for Rust's long names). */
function nameAt(memory: Buffer, at: number): { length: number; from: number } {
  const first = memory[at]!;
  if ((first & 0x80) === 0) return { length: first, from: at + 1 };
  return { length: (first & 0x7f) | (memory[at + 1]! << 7), from: at + 2 };
}
