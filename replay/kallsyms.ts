/**
 * The symbols of a running Linux kernel, from the tables in its own memory (CONFIG_KALLSYMS; kernel/kallsyms.c and
 * scripts/kallsyms.c of Linux 6.1). No file is needed: the tables are found by their shape.
 *
 *     offsets i32[n] │ relative_base u64 │ num_syms u32 │ names: length, tokens… │ markers u32[n/256] │ token_table │ token_index u16[256]
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

/** Finds the tables and decodes them, ascending by address; undefined if they are not there (yet). */
export function kernelSymbols(domain: Domain, frames: MachineMemory): KernelSymbol[] | undefined {
  const memory = physicalMemory(domain, frames);
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
  const tokenTable = tableStart(memory, digits);
  if (tokenTable === undefined) return undefined;
  const tokens = readTokens(memory, tokenTable);
  const markers = markersBefore(memory, tokenTable);
  if (tokens === undefined || markers === undefined) return undefined;
  const names = namesBefore(memory, markers.at, markers.values);
  if (names === undefined) return undefined;
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

/** Going back from token '0' (number 0x30) over 0x30 strings. */
function tableStart(memory: Buffer, digits: number): number | undefined {
  let at = digits;
  for (let token = 0x30; token > 0; token--) {
    at -= 2; // onto the last character of the token before
    let length = 1;
    while (at > 0 && memory[at - 1] !== 0 && ++length < 64) at--;
    if (length >= 64 || at <= 0) return undefined;
  }
  return at % 8 === 0 ? at : undefined;
}

function readTokens(memory: Buffer, start: number): string[] | undefined {
  const tokens: string[] = [];
  const starts: number[] = [];
  let at = start;
  for (let i = 0; i < 256; i++) {
    const end = memory.indexOf(0, at);
    if (end < 0 || end - at > 64) return undefined;
    starts.push(at - start);
    tokens.push(memory.toString('latin1', at, end));
    at = end + 1;
  }
  const index = Math.ceil(at / 8) * 8;
  return starts.every((offset, i) => memory.readUInt16LE(index + 2 * i) === offset) ? tokens : undefined;
}

/** Ascending u32 that end before the token table; the first is 0. */
function markersBefore(memory: Buffer, tokenTable: number): { at: number; values: number[] } | undefined {
  let at = tokenTable - 4;
  if (memory.readUInt32LE(at) === 0) at -= 4; // padding to 8 bytes
  const values: number[] = [];
  for (let next = Number.POSITIVE_INFINITY; at > 0; at -= 4) {
    const value = memory.readUInt32LE(at);
    if (value >= next) return undefined;
    values.unshift(value);
    if (value === 0) return values.length > 16 ? { at, values } : undefined;
    next = value;
  }
  return undefined;
}

/** Where the names begin: behind a plausible count, and such that they agree with the markers. */
function namesBefore(memory: Buffer, markersAt: number, markers: readonly number[]): number | undefined {
  const last = markers.at(-1)!;
  for (let start = markersAt - last - (markersAt % 8); start > markersAt - last - MARKER_STEP * 512; start -= 8) {
    if (start < 16) return undefined;
    const aligned = Math.floor(start / 8) * 8;
    const count = memory.readUInt32LE(aligned - 8);
    if (Math.floor((count - 1) / MARKER_STEP) !== markers.length - 1) continue;
    let at = aligned;
    for (let i = 0; i < MARKER_STEP; i++) {
      const { length, from } = nameAt(memory, at);
      at = from + length;
    }
    if (at - aligned === markers[1]) return aligned;
  }
  return undefined;
}

/** Lengths of 128 and more take two bytes (Linux 6.1: for Rust's long names). */
function nameAt(memory: Buffer, at: number): { length: number; from: number } {
  const first = memory[at]!;
  if ((first & 0x80) === 0) return { length: first, from: at + 1 };
  return { length: (first & 0x7f) | (memory[at + 1]! << 7), from: at + 2 };
}
