import { SortedSymbols, type SymbolEntry, type SymbolTable } from './symbol-table.ts';

/** Section and symbol types of the System V gABI, chapter 4. */
const SHT_SYMTAB = 2;
const STT = { NOTYPE: 0, OBJECT: 1, FUNC: 2 } as const;
const SHF_EXECINSTR = 4;
const SHN_ABS = 0xfff1;
const MAX_SYMBOLS = 1 << 20;
const MAX_SECTIONS = 1 << 16;
const MAX_NAME = 512;

interface Section {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly bytes: number;
  /** Of a symbol table: the section with its names. */
  readonly link: number;
}

/**
 * The symbols of an ELF file, 32 or 64 bits, little-endian: functions, variables and labels of assembly.
 * @returns undefined for what is no ELF file, has no symbol table (stripped), or is damaged.
 */
export function elfSymbols(image: Uint8Array): SymbolTable | undefined {
  try {
    const entries = parse(image);
    return entries && entries.length > 0 ? new SortedSymbols('elf', entries) : undefined;
  } catch (error) {
    // A table that leaves the file.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function parse(image: Uint8Array): SymbolEntry[] | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  if (image.length < 64 || view.getUint32(0) !== 0x7f454c46 || view.getUint8(5) !== 1) return undefined;
  const wide = view.getUint8(4) === 2;
  const sections = readSections(view, wide);
  const table = sections.find(({ type }) => type === SHT_SYMTAB);
  const strings = table && sections[table.link];
  if (!table || !strings) return undefined;
  const entries: SymbolEntry[] = [];
  const step = wide ? 24 : 16;
  for (let i = 1; i < Math.min(MAX_SYMBOLS, Math.floor(table.bytes / step)); i++) {
    const at = table.offset + i * step;
    const type = view.getUint8(at + (wide ? 4 : 12)) & 15;
    const index = view.getUint16(at + (wide ? 6 : 14), true);
    if ((type !== STT.FUNC && type !== STT.NOTYPE && type !== STT.OBJECT) || index === 0) continue;
    const name = nameAt(image, strings, view.getUint32(at, true));
    if (name === undefined) continue;
    entries.push({
      name,
      address: wide ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 4, true)),
      size: wide ? view.getBigUint64(at + 16, true) : BigInt(view.getUint32(at + 8, true)),
      code: type === STT.FUNC || ((sections[index]?.flags ?? 0) & SHF_EXECINSTR) !== 0,
      hidden: index === SHN_ABS,
    });
  }
  return entries;
}

function readSections(view: DataView, wide: boolean): Section[] {
  const word = (at: number) => (wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const table = word(wide ? 0x28 : 0x20);
  const size = view.getUint16(wide ? 0x3a : 0x2e, true);
  const count = Math.min(MAX_SECTIONS, view.getUint16(wide ? 0x3c : 0x30, true));
  return Array.from({ length: count }, (_, i) => {
    const at = table + i * size;
    return {
      type: view.getUint32(at + 4, true),
      flags: view.getUint32(at + 8, true),
      offset: word(at + (wide ? 0x18 : 0x10)),
      bytes: word(at + (wide ? 0x20 : 0x14)),
      link: view.getUint32(at + (wide ? 0x28 : 0x18), true),
    };
  });
}

/** Printable names only: they go to terminals. */
function nameAt(image: Uint8Array, strings: Section, offset: number): string | undefined {
  const start = strings.offset + offset;
  const limit = Math.min(image.length, strings.offset + strings.bytes, start + MAX_NAME);
  let name = '';
  for (let at = start; at < limit && image[at] !== 0; at++) {
    const byte = image[at]!;
    if (byte < 0x21 || byte > 0x7e) return undefined;
    name += String.fromCharCode(byte);
  }
  return name === '' ? undefined : name;
}
