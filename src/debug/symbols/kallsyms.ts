/**
 * A Linux kernel's symbols from its own memory: no System.map, no vmlinux. What the kernel keeps for its stack traces
 * (scripts/kallsyms.c writes it) lies in its read-only data, without any pointer to it that could be known from outside,
 * so it is recognised by its structure:
 *
 *     offsets        i32 × n        address of each, see `addressOf`          ┐ before num_syms up to Linux 6.3,
 *     relative_base  u64                                                      ┘ behind token_index after that
 *     num_syms       u32 n
 *     names          per symbol: length (1 byte, or 2 if the first has bit 7), then so many tokens
 *     markers        u32 × ⌈n / 256⌉   where in names each 256th begins
 *     (seqs_of_names u8 × 3n, from Linux 6.2 on)
 *     token_table, token_index        see kallsyms-tokens.ts
 *
 * each aligned to 8. The search starts at token_table and goes backwards; every table proves the one before it. Guests
 * are untrusted: whatever is found is bounded and checked, and memory that only looks like a kernel gives no symbols.
 */
import { findTokenTables, type TokenTable } from './kallsyms-tokens.ts';
import type { ReadLinear } from './linear-reader.ts';
import { SortedSymbols, type SymbolEntry, type SymbolTable } from './symbol-table.ts';

/** Where x86-64 Linux maps its image, KASLR included (Documentation/x86/x86_64/mm.rst). */
const KERNEL_START = 0xffffffff80000000n;
const KERNEL_BYTES = 1 << 30;
const CHUNK = 2 << 20;
const PAGE = 4096;
/** No kernel is larger; a guest may map anything there. */
const MAX_RUN = 128 << 20;
const MAX_READ = 512 << 20;

const MAX_SYMBOLS = 1 << 20;
const MAX_NAME = 512;
const MARKER_STRIDE = 256;
/** Kernels have hundreds. */
const LEAST_MARKERS = 8;
/** Bytes that 256 names take: at least a length and a token each, at most long ones. */
const LEAST_STRIDE_BYTES = 2 * MARKER_STRIDE;
const MOST_STRIDE_BYTES = 256 * MARKER_STRIDE;
/** Memory that looks like markers or like a counter again and again is no kernel's. */
const MAX_MARKERS = 16;
const MAX_COUNTERS = 64;
/** Share of symbols that must ascend: all do but for what the linker moved. */
const ASCENDING = 0.98;

/** Where to look: addresses for `read`. */
export interface SearchRange {
  readonly start: bigint;
  readonly bytes: number;
}
const KERNEL_RANGE: SearchRange = { start: KERNEL_START, bytes: KERNEL_BYTES };

/**
 * @param range elsewhere to look for the tables, as in physical memory before there are page tables.
 * @returns undefined if there is no 64-bit Linux kernel with kallsyms in this memory (yet).
 */
export function kallsyms(read: ReadLinear, range: SearchRange = KERNEL_RANGE): SymbolTable | undefined {
  for (const run of mappedRuns(read, range)) {
    for (const tokens of findTokenTables(run)) {
      const entries = symbolsBefore(run, tokens);
      if (entries) return new SortedSymbols('kallsyms', entries);
    }
  }
  return undefined;
}

/** The mapped memory of the kernel's range, in stretches without holes. */
function* mappedRuns(read: ReadLinear, range: SearchRange): Generator<Buffer> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  let total = 0;
  for (const part of pieces(read, range)) {
    if (part) {
      parts.push(part);
      bytes += part.length;
      total += part.length;
    }
    const full = bytes >= MAX_RUN || total >= MAX_READ;
    if ((part && !full) || bytes === 0) continue;
    yield Buffer.concat(parts);
    parts = [];
    bytes = 0;
    if (full && total >= MAX_READ) return;
  }
}

/**
 * What is mapped piece by piece, undefined for a hole; ends with one. A kernel reaches over several chunks: one that is
 * mapped neither at its beginning nor at its end holds none of it, and is not looked at page by page.
 */
function* pieces(read: ReadLinear, { start, bytes }: SearchRange): Generator<Uint8Array | undefined> {
  for (let at = 0; at < bytes; at += CHUNK) {
    const chunk = start + BigInt(at);
    if (!read(chunk, PAGE) && !read(chunk + BigInt(CHUNK - PAGE), PAGE)) {
      yield undefined;
      continue;
    }
    const whole = read(chunk, CHUNK);
    if (whole) yield whole;
    else for (let page = 0; page < CHUNK; page += PAGE) yield read(chunk + BigInt(page), PAGE);
  }
  yield undefined;
}

function symbolsBefore(memory: Buffer, tokens: TokenTable): SymbolEntry[] | undefined {
  for (const markers of markersBefore(memory, tokens.start)) {
    const names = namesBefore(memory, markers, tokens.tokens);
    if (!names) continue;
    const entries = addressesFor(memory, names, tokens);
    if (entries) return entries;
  }
  return undefined;
}

interface Markers {
  readonly start: number;
  readonly offsets: readonly number[];
}

/** Candidates: a zero, then at least a few words that ascend as markers do. */
function* markersBefore(memory: Buffer, end: number): Generator<Markers> {
  // seqs_of_names may lie between.
  const stop = Math.max(0, end - 3 * MAX_SYMBOLS - (MAX_SYMBOLS / MARKER_STRIDE) * 4);
  let found = 0;
  for (let at = (end & ~3) - 4; at >= stop && found < MAX_MARKERS; at -= 4) {
    if (memory.readUInt32LE(at) !== 0) continue;
    const offsets = [0];
    for (let next = at + 4; next + 4 <= end && offsets.length < MAX_SYMBOLS / MARKER_STRIDE; next += 4) {
      const step = memory.readUInt32LE(next) - offsets.at(-1)!;
      if (step < LEAST_STRIDE_BYTES || step > MOST_STRIDE_BYTES) break;
      offsets.push(offsets.at(-1)! + step);
    }
    if (offsets.length < LEAST_MARKERS) continue;
    found++;
    yield { start: at, offsets };
  }
}

interface Names {
  /** Offset of num_syms. */
  readonly counter: number;
  /** With the type letter in front, as nm has it. */
  readonly names: readonly string[];
}

/** num_syms stands 8 bytes before names; where that is follows from the last marker, but for the last few names. */
function namesBefore(memory: Buffer, { start, offsets }: Markers, tokens: readonly string[]): Names | undefined {
  let tries = 0;
  for (const count of [offsets.length, offsets.length - 1]) {
    const last = offsets[count - 1]!;
    const least = MARKER_STRIDE * (count - 1);
    const latest = (start - last) & ~7;
    for (let at = latest; at >= 8 && at >= latest - MOST_STRIDE_BYTES; at -= 8) {
      const total = memory.readUInt32LE(at - 8);
      if (total <= least || total > least + MARKER_STRIDE || memory.readUInt32LE(at - 4) !== 0) continue;
      if (++tries > MAX_COUNTERS) return undefined;
      const names = expandNames(memory.subarray(at, start), total, offsets, tokens);
      if (names) return { counter: at - 8, names };
    }
  }
  return undefined;
}

/** @returns undefined if the names are not where the markers say. */
function expandNames(
  data: Buffer,
  total: number,
  markers: readonly number[],
  tokens: readonly string[],
): string[] | undefined {
  const names: string[] = [];
  let at = 0;
  for (let i = 0; i < total; i++) {
    if (i % MARKER_STRIDE === 0 && at !== markers[i / MARKER_STRIDE]) return undefined;
    let length = data[at++];
    if (length === undefined) return undefined;
    if (length & 0x80) length = (length & 0x7f) | ((data[at++] ?? 0) << 7);
    if (length === 0 || length > MAX_NAME || at + length > data.length) return undefined;
    let name = '';
    for (const end = at + length; at < end && name.length <= MAX_NAME; at++) name += tokens[data[at]!];
    if (name.length > MAX_NAME || !/^[A-Za-z][\x21-\x7e]+$/.test(name)) return undefined;
    names.push(name);
  }
  return names;
}

/** Offsets and base stand before num_syms or behind the token index. */
function addressesFor(memory: Buffer, { counter, names }: Names, { indexEnd }: TokenTable): SymbolEntry[] | undefined {
  const bytes = align8(names.length * 4);
  const behind = align8(indexEnd);
  const places: (readonly [offsets: number, base: number])[] = [
    [counter - 8 - bytes, counter - 8],
    [behind, behind + bytes],
  ];
  for (const [offsets, base] of places) {
    if (offsets < 0 || base + 8 > memory.length) continue;
    const entries = entriesFrom(memory, names, offsets, memory.readBigUInt64LE(base));
    if (entries) return entries;
  }
  return undefined;
}

function entriesFrom(
  memory: Buffer,
  names: readonly string[],
  offsets: number,
  base: bigint,
): SymbolEntry[] | undefined {
  if (base < KERNEL_START || base >= KERNEL_START + BigInt(KERNEL_BYTES)) return undefined;
  const values = names.map((_, i) => memory.readInt32LE(offsets + 4 * i));
  const absolutePercpu = values.some((value) => value < 0);
  let ascending = 0;
  const entries = names.map((name, i) => {
    const { address, hidden } = addressOf(values[i]!, base, absolutePercpu);
    if (i === 0 || distance(values[i - 1]!, absolutePercpu) <= distance(values[i]!, absolutePercpu)) ascending++;
    return { name: name.slice(1), address, size: 0n, code: /^[TtWw]$/.test(name[0]!), hidden };
  });
  return ascending >= ASCENDING * names.length ? entries : undefined;
}

/**
 * An offset is relative to the base. With per-cpu symbols at absolute addresses from 0 on (SMP kernels of x86), these
 * are the ones not negative, and all others are negative: address = base - 1 - offset.
 */
function addressOf(value: number, base: bigint, absolutePercpu: boolean): { address: bigint; hidden: boolean } {
  if (absolutePercpu && value >= 0) return { address: BigInt(value), hidden: true };
  return { address: BigInt.asUintN(64, base + BigInt(distance(value, absolutePercpu))), hidden: false };
}

function distance(value: number, absolutePercpu: boolean): number {
  if (absolutePercpu) return value < 0 ? -1 - value : -1;
  return value >>> 0;
}

function align8(value: number): number {
  return (value + 7) & ~7;
}
