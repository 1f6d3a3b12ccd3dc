/** Names for guest addresses, from the symbol table of an ELF image. */

interface Symbols {
  readonly addresses: BigUint64Array;
  /** Where each symbol ends. */
  readonly ends: BigUint64Array;
  readonly names: readonly string[];
}

const SHT_SYMTAB = 2;
const STT_FUNC = 2;
const STT_NOTYPE = 0;
const MAX_SYMBOLS = 1 << 20;
/** A symbol without a size (assembly) reaches so far, or to the next one. */
const UNSIZED_BYTES = 4096n;

/** Finds names by address. Images without a symbol table, and damaged ones, simply have no names. */
export class SymbolTable {
  readonly #symbols: Symbols | undefined;

  constructor(image: Uint8Array) {
    try {
      this.#symbols = parse(image);
    } catch {
      this.#symbols = undefined;
    }
  }

  /** `function+0x12`, or undefined. */
  name(address: bigint): string | undefined {
    if (!this.#symbols) return undefined;
    const { addresses, ends, names } = this.#symbols;
    let low = 0;
    let high = addresses.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (addresses[middle] <= address) low = middle + 1;
      else high = middle;
    }
    if (low === 0 || address >= ends[low - 1]) return undefined;
    const offset = address - addresses[low - 1];
    return offset === 0n ? names[low - 1] : `${names[low - 1]}+0x${offset.toString(16)}`;
  }
}

/** ELF32 and ELF64, little-endian (System V ABI, chapters 4 and 5). @throws RangeError where it leaves the image */
function parse(image: Uint8Array): Symbols | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  if (view.getUint32(0) !== 0x7f454c46 || view.getUint8(5) !== 1) return undefined;
  const wide = view.getUint8(4) === 2;
  const word = (at: number) => (wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const sections = word(wide ? 0x28 : 0x20);
  const size = view.getUint16(wide ? 0x3a : 0x2e, true);
  const count = view.getUint16(wide ? 0x3c : 0x30, true);
  const section = (i: number) => {
    const at = sections + i * size;
    const [offset, bytes] = wide ? [word(at + 0x18), word(at + 0x20)] : [word(at + 0x10), word(at + 0x14)];
    return { type: view.getUint32(at + 4, true), offset, bytes, link: view.getUint32(at + (wide ? 0x28 : 0x18), true) };
  };
  for (let i = 0; i < count; i++) {
    const table = section(i);
    if (table.type === SHT_SYMTAB) return read(view, image, wide, table, section(table.link));
  }
  return undefined;
}

function read(
  view: DataView,
  image: Uint8Array,
  wide: boolean,
  table: { offset: number; bytes: number },
  strings: { offset: number; bytes: number },
): Symbols {
  const entry = wide ? 24 : 16;
  const found: [address: bigint, end: bigint, name: string][] = [];
  for (let i = 1; i < Math.min(MAX_SYMBOLS, table.bytes / entry); i++) {
    const at = table.offset + i * entry;
    const type = view.getUint8(at + (wide ? 4 : 12)) & 15;
    const sectionIndex = view.getUint16(at + (wide ? 6 : 14), true);
    if ((type !== STT_FUNC && type !== STT_NOTYPE) || sectionIndex === 0) continue;
    const value = wide ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 4, true));
    const length = wide ? view.getBigUint64(at + 16, true) : BigInt(view.getUint32(at + 8, true));
    const start = strings.offset + view.getUint32(at, true);
    const end = image.indexOf(0, start);
    const name = Buffer.from(image.subarray(start, Math.min(end, start + 120))).toString('latin1');
    if (/^[\x21-\x7e]+$/.test(name)) found.push([value, value + (length || UNSIZED_BYTES), name]);
  }
  found.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return {
    addresses: BigUint64Array.from(found, ([address]) => address),
    ends: BigUint64Array.from(found, ([, end]) => end),
    names: found.map(([, , name]) => name),
  };
}
