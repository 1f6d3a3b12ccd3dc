/** Functions and variables of an ELF64 or ELF32 image, little-endian (System V ABI, chapter 4). */
import type { KernelSymbol } from './kallsyms.ts';

const SHT_SYMTAB = 2;
const NOTYPE_OBJECT_FUNC = new Set([0, 1, 2]);
const MAX_SYMBOLS = 1 << 20;

/** Ascending by address; none for what is no ELF image, has no symbols, or is damaged. */
export function elfSymbols(image: Uint8Array): KernelSymbol[] {
  try {
    return parse(image).sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}

function parse(image: Uint8Array): KernelSymbol[] {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  if (image.length < 64 || view.getUint32(0) !== 0x7f454c46 || image[5] !== 1) return [];
  const wide = image[4] === 2;
  const word = (at: number) => (wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const table = word(wide ? 0x28 : 0x20);
  const size = view.getUint16(wide ? 0x3a : 0x2e, true);
  const count = view.getUint16(wide ? 0x3c : 0x30, true);
  const section = (i: number) => {
    const at = table + i * size;
    return {
      type: view.getUint32(at + 4, true),
      offset: word(at + (wide ? 0x18 : 0x10)),
      bytes: word(at + (wide ? 0x20 : 0x14)),
      link: view.getUint32(at + (wide ? 0x28 : 0x18), true),
    };
  };
  for (let i = 0; i < count; i++) {
    const symbols = section(i);
    if (symbols.type === SHT_SYMTAB) return read(view, image, wide, symbols, section(symbols.link).offset);
  }
  return [];
}

function read(
  view: DataView,
  image: Uint8Array,
  wide: boolean,
  { offset, bytes }: { offset: number; bytes: number },
  strings: number,
): KernelSymbol[] {
  const entry = wide ? 24 : 16;
  const found: KernelSymbol[] = [];
  for (let i = 1; i < Math.min(MAX_SYMBOLS, bytes / entry); i++) {
    const at = offset + i * entry;
    const type = view.getUint8(at + (wide ? 4 : 12)) & 15;
    const defined = view.getUint16(at + (wide ? 6 : 14), true) !== 0;
    if (!defined || !NOTYPE_OBJECT_FUNC.has(type)) continue;
    const start = strings + view.getUint32(at, true);
    const name = Buffer.from(image.subarray(start, image.indexOf(0, start))).toString('latin1');
    const address = wide ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 4, true));
    if (/^[\x21-\x7e]{1,200}$/.test(name)) found.push({ address, name });
  }
  return found;
}
