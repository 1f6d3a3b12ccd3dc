/** A table of symbols as an ELF file that gdb reads: nothing but names and addresses. */
import type { SymbolEntry, SymbolTable } from './symbol-table.ts';

const HEADER_BYTES = 64;
const SECTION_BYTES = 64;
const SYMBOL_BYTES = 24;
const SHT = { PROGBITS: 1, SYMTAB: 2, STRTAB: 3, NOBITS: 8 } as const;
/** SHF_ALLOC with SHF_EXECINSTR, SHF_WRITE. */
const CODE_FLAGS = 6;
const DATA_FLAGS = 3;
const STB_GLOBAL = 1 << 4;
const STT = { OBJECT: 1, FUNC: 2 } as const;
const SHN_ABS = 0xfff1;
const EM_X86_64 = 62;
const ET_EXEC = 2;
/** A kernel has half a dozen stretches of code and data; with more of them, all is one section. */
const MAX_RUNS = 64;

/** A stretch of addresses with symbols of one kind: a section without content. */
interface Run {
  readonly code: boolean;
  readonly address: bigint;
  end: bigint;
}

/**
 * Sections without content span the addresses, one for each stretch of code or of data; every symbol lies in one.
 * @param frames content of `.debug_frame`
 *
 *     ┌────────┬────────────────┬─────────┬───────────┬──────────────────────────────────────────────────────┐
 *     │ header │ symbols, 24 B  │ strings │ shstrings │ sections: null, .text or .data …, .symtab, .strtab, … │
 *     └────────┴────────────────┴─────────┴───────────┴──────────────────────────────────────────────────────┘
 */
export function symbolImage(table: SymbolTable, frames: Uint8Array = new Uint8Array(0)): Uint8Array {
  const runs = runsOf(table.entries());
  const entries = table.all();
  const strings = Buffer.from(`\0${entries.map(({ name }) => `${name}\0`).join('')}`, 'latin1');
  const names = Buffer.from('\0.text\0.data\0.debug_frame\0.symtab\0.strtab\0.shstrtab\0', 'latin1');
  const nameAt = (name: string) => names.indexOf(`${name}\0`);
  const symbolsAt = HEADER_BYTES;
  const symbolBytes = (entries.length + 1) * SYMBOL_BYTES;
  const stringsAt = symbolsAt + symbolBytes;
  const namesAt = stringsAt + strings.length;
  const framesAt = Math.ceil((namesAt + names.length) / 8) * 8;
  const sectionsAt = Math.ceil((framesAt + frames.length) / 8) * 8;
  const image = Buffer.alloc(sectionsAt + (runs.length + 5) * SECTION_BYTES);
  image.set(frames, framesAt);
  writeHeader(image, sectionsAt, runs.length + 5, runs.find(({ code }) => code)?.address ?? 0n);
  let name = 1;
  for (const [i, entry] of entries.entries()) {
    const at = symbolsAt + (i + 1) * SYMBOL_BYTES;
    image.writeUInt32LE(name, at);
    image[at + 4] = STB_GLOBAL | (entry.code ? STT.FUNC : STT.OBJECT);
    image.writeUInt16LE(entry.hidden ? SHN_ABS : 1 + runIndex(runs, entry.address), at + 6);
    image.writeBigUInt64LE(entry.address, at + 8);
    image.writeBigUInt64LE(entry.size, at + 16);
    name += Buffer.byteLength(entry.name, 'latin1') + 1;
  }
  strings.copy(image, stringsAt);
  names.copy(image, namesAt);
  let next = 1;
  const section = (name: string, type: number, fields: Partial<SectionFields>) =>
    writeSection(image, sectionsAt + next++ * SECTION_BYTES, nameAt(name), type, fields);
  for (const { code, address, end } of runs) {
    const flags = code ? CODE_FLAGS : DATA_FLAGS;
    section(code ? '.text' : '.data', SHT.NOBITS, { flags, address, size: end - address });
  }
  const link = runs.length + 2;
  section('.symtab', SHT.SYMTAB, {
    offset: symbolsAt,
    size: BigInt(symbolBytes),
    link,
    info: 1,
    entry: SYMBOL_BYTES,
  });
  section('.strtab', SHT.STRTAB, { offset: stringsAt, size: BigInt(strings.length) });
  section('.debug_frame', SHT.PROGBITS, { offset: framesAt, size: BigInt(frames.length) });
  section('.shstrtab', SHT.STRTAB, { offset: namesAt, size: BigInt(names.length) });
  return new Uint8Array(image);
}

/** Each reaches to where the next one begins. */
function runsOf(entries: readonly SymbolEntry[]): Run[] {
  const runs: Run[] = [];
  for (const { code, address, size } of entries) {
    const last = runs.at(-1);
    const end = address + (size > 0n ? size : 1n);
    if (last && last.code === code) last.end = end > last.end ? end : last.end;
    else {
      if (last) last.end = address;
      runs.push({ code, address, end });
    }
  }
  if (runs.length <= MAX_RUNS) return runs;
  return [{ code: true, address: runs[0]!.address, end: runs.at(-1)!.end }];
}

function runIndex(runs: readonly Run[], address: bigint): number {
  return Math.max(
    0,
    runs.findLastIndex((run) => run.address <= address),
  );
}

function writeHeader(image: Buffer, sectionsAt: number, sections: number, entry: bigint): void {
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  image.writeUInt16LE(ET_EXEC, 16);
  image.writeUInt16LE(EM_X86_64, 18);
  image.writeUInt32LE(1, 20);
  image.writeBigUInt64LE(entry, 24);
  image.writeBigUInt64LE(BigInt(sectionsAt), 40);
  image.writeUInt16LE(HEADER_BYTES, 52);
  image.writeUInt16LE(SECTION_BYTES, 58);
  image.writeUInt16LE(sections, 60);
  image.writeUInt16LE(sections - 1, 62);
}

interface SectionFields {
  flags: number;
  address: bigint;
  offset: number;
  size: bigint;
  link: number;
  info: number;
  entry: number;
}

function writeSection(image: Buffer, at: number, name: number, type: number, fields: Partial<SectionFields>): void {
  image.writeUInt32LE(name, at);
  image.writeUInt32LE(type, at + 4);
  image.writeBigUInt64LE(BigInt(fields.flags ?? 0), at + 8);
  image.writeBigUInt64LE(fields.address ?? 0n, at + 16);
  image.writeBigUInt64LE(BigInt(fields.offset ?? 0), at + 24);
  image.writeBigUInt64LE(fields.size ?? 0n, at + 32);
  image.writeUInt32LE(fields.link ?? 0, at + 40);
  image.writeUInt32LE(fields.info ?? 0, at + 44);
  image.writeBigUInt64LE(8n, at + 48);
  image.writeBigUInt64LE(BigInt(fields.entry ?? 0), at + 56);
}
