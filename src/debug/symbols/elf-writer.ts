/** A table of symbols as an ELF file that gdb reads: nothing but names and addresses. */
import type { SymbolTable } from './symbol-table.ts';

const HEADER_BYTES = 64;
const SECTION_BYTES = 64;
const SYMBOL_BYTES = 24;
const SHT = { SYMTAB: 2, STRTAB: 3, NOBITS: 8 } as const;
/** SHF_ALLOC, SHF_EXECINSTR. */
const ALLOC_EXEC = 6;
const STB_GLOBAL = 1 << 4;
const STT = { OBJECT: 1, FUNC: 2 } as const;
const EM_X86_64 = 62;
const ET_EXEC = 2;

/**
 * One section without content spans all addresses; every symbol lies in it.
 *
 *     ┌────────┬────────────────┬─────────┬───────────┬──────────────────────────────────────────────┐
 *     │ header │ symbols, 24 B  │ strings │ shstrings │ sections: null, .text, .symtab, .strtab, …   │
 *     └────────┴────────────────┴─────────┴───────────┴──────────────────────────────────────────────┘
 */
export function symbolImage(table: SymbolTable): Uint8Array {
  const entries = table.entries();
  const first = entries[0]?.address ?? 0n;
  const last = (entries.at(-1)?.address ?? 0n) + 1n;
  const strings = Buffer.from(`\0${entries.map(({ name }) => `${name}\0`).join('')}`, 'latin1');
  const names = Buffer.from('\0.text\0.symtab\0.strtab\0.shstrtab\0', 'latin1');
  const symbolsAt = HEADER_BYTES;
  const symbolBytes = (entries.length + 1) * SYMBOL_BYTES;
  const stringsAt = symbolsAt + symbolBytes;
  const namesAt = stringsAt + strings.length;
  const sectionsAt = Math.ceil((namesAt + names.length) / 8) * 8;
  const image = Buffer.alloc(sectionsAt + 5 * SECTION_BYTES);
  writeHeader(image, sectionsAt);
  let name = 1;
  for (const [i, entry] of entries.entries()) {
    const at = symbolsAt + (i + 1) * SYMBOL_BYTES;
    image.writeUInt32LE(name, at);
    image[at + 4] = STB_GLOBAL | (entry.code ? STT.FUNC : STT.OBJECT);
    image.writeUInt16LE(1, at + 6);
    image.writeBigUInt64LE(entry.address, at + 8);
    image.writeBigUInt64LE(entry.size, at + 16);
    name += Buffer.byteLength(entry.name, 'latin1') + 1;
  }
  strings.copy(image, stringsAt);
  names.copy(image, namesAt);
  const section = (i: number, nameAt: number, type: number, fields: Partial<SectionFields>) =>
    writeSection(image, sectionsAt + i * SECTION_BYTES, nameAt, type, fields);
  section(1, 1, SHT.NOBITS, { flags: ALLOC_EXEC, address: first, size: last - first });
  const symtab = { offset: symbolsAt, size: BigInt(symbolBytes), link: 3, info: 1, entry: SYMBOL_BYTES };
  section(2, 7, SHT.SYMTAB, symtab);
  section(3, 15, SHT.STRTAB, { offset: stringsAt, size: BigInt(strings.length) });
  section(4, 23, SHT.STRTAB, { offset: namesAt, size: BigInt(names.length) });
  return new Uint8Array(image);
}

function writeHeader(image: Buffer, sectionsAt: number): void {
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  image.writeUInt16LE(ET_EXEC, 16);
  image.writeUInt16LE(EM_X86_64, 18);
  image.writeUInt32LE(1, 20);
  image.writeBigUInt64LE(BigInt(sectionsAt), 40);
  image.writeUInt16LE(HEADER_BYTES, 52);
  image.writeUInt16LE(SECTION_BYTES, 58);
  image.writeUInt16LE(5, 60);
  image.writeUInt16LE(4, 62);
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
