import { type Image, ImageReader } from './image.ts';

/** ELF program header types (System V gABI, chapter 5). */
export const PT_LOAD = 1;
export const PT_NOTE = 4;
const SHT_NOTE = 7;
const EM_386 = 3;
const EM_X86_64 = 62;
const ET_EXEC = 2;
const ET_DYN = 3;

/** More than any kernel has; hostile counts stop here. */
const MAX_HEADERS = 256;
const MAX_NOTES = 1024;
/** Physical addresses of x86-64 end at 2^52. */
const MAX_PHYSICAL = 2 ** 52;

export interface ElfSegment {
  readonly type: number;
  readonly flags: number;
  /** Bytes in the file, `fileSize` of them, lie within it. */
  readonly offset: number;
  readonly fileSize: number;
  readonly vaddr: bigint;
  readonly paddr: number;
  /** At least fileSize; the rest is zero. */
  readonly memSize: number;
  readonly align: number;
}

export interface ElfNote {
  readonly owner: string;
  readonly type: number;
  readonly description: Uint8Array;
  /** Of the note's header in the file, for messages. */
  readonly offset: number;
}

export interface ElfImage {
  readonly image: Image;
  readonly bits: 32 | 64;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  readonly notes: readonly ElfNote[];
}

export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/**
 * Reads an x86 ELF executable: header, program headers, notes (of PT_NOTE segments, or of SHT_NOTE sections if there
 * is no such segment). Everything is checked to lie within the file.
 * @throws ImageError
 */
export function parseElf(image: Image): ElfImage {
  const file = new ImageReader(image);
  if (!isElf(image.bytes)) file.fail(0, 'this is no ELF file (no 7f 45 4c 46 at its start)');
  const elfClass = file.u8(4);
  if (elfClass !== 1 && elfClass !== 2) file.fail(4, `ELF class ${elfClass} is neither 32 bit (1) nor 64 bit (2)`);
  if (file.u8(5) !== 1) file.fail(5, 'the ELF file is not little-endian, so it is not for x86');
  const bits = elfClass === 1 ? 32 : 64;
  const type = file.u16(16);
  if (type !== ET_EXEC && type !== ET_DYN) file.fail(16, `ELF type ${type} is no executable (is it an object file?)`);
  const machine = file.u16(18);
  if (machine !== EM_386 && machine !== EM_X86_64) file.fail(18, `ELF machine ${machine} is not x86 (3 or 62)`);
  const entry = bits === 32 ? BigInt(file.u32(24)) : file.u64(24);
  const segments = readSegments(file, bits);
  const notes = readNotes(file, bits, segments);
  return { image, bits, entry, segments, notes };
}

function readSegments(file: ImageReader, bits: 32 | 64): ElfSegment[] {
  const table = address(file, bits === 32 ? 28 : 32, bits);
  const size = file.u16(bits === 32 ? 42 : 54);
  const count = file.u16(bits === 32 ? 44 : 56);
  if (count === 0) file.fail(bits === 32 ? 44 : 56, 'the ELF file has no program headers, so there is nothing to load');
  if (count > MAX_HEADERS) file.fail(bits === 32 ? 44 : 56, `${count} program headers are more than ${MAX_HEADERS}`);
  if (size < (bits === 32 ? 32 : 56))
    file.fail(bits === 32 ? 42 : 54, `program headers of ${size} bytes are too small`);
  return Array.from({ length: count }, (_, i) => readSegment(file, table + i * size, bits));
}

function readSegment(file: ImageReader, at: number, bits: 32 | 64): ElfSegment {
  const wide = bits === 64;
  const segment = {
    type: file.u32(at),
    flags: file.u32(at + (wide ? 4 : 24)),
    offset: address(file, at + (wide ? 8 : 4), bits),
    vaddr: wide ? file.u64(at + 16) : BigInt(file.u32(at + 8)),
    paddr: 0,
    fileSize: address(file, at + (wide ? 32 : 16), bits),
    memSize: address(file, at + (wide ? 40 : 20), bits),
    align: address(file, at + (wide ? 48 : 28), bits),
  };
  if (segment.type !== PT_LOAD && segment.type !== PT_NOTE) return segment;
  segment.paddr = address(file, at + (wide ? 24 : 12), bits);
  if (segment.offset + segment.fileSize > file.length)
    file.fail(at, `the segment's ${segment.fileSize} bytes at 0x${segment.offset.toString(16)} leave the file`);
  if (segment.type === PT_LOAD && segment.memSize < segment.fileSize)
    file.fail(at, `the segment takes ${segment.memSize} bytes of memory but ${segment.fileSize} of the file`);
  if (segment.paddr + segment.memSize > MAX_PHYSICAL)
    file.fail(
      at,
      `the segment ends beyond the physical address space, at 0x${(segment.paddr + segment.memSize).toString(16)}`,
    );
  return segment;
}

/** An address-sized field as a number. */
function address(file: ImageReader, at: number, bits: 32 | 64): number {
  if (bits === 32) return file.u32(at);
  const value = file.u64(at);
  if (value > BigInt(MAX_PHYSICAL)) file.fail(at, `0x${value.toString(16)} is beyond the physical address space`);
  return Number(value);
}

function readNotes(file: ImageReader, bits: 32 | 64, segments: readonly ElfSegment[]): ElfNote[] {
  const places = segments
    .filter((s) => s.type === PT_NOTE)
    .map((s) => ({ at: s.offset, size: s.fileSize, align: s.align }));
  const notes: ElfNote[] = [];
  for (const place of places.length > 0 ? places : noteSections(file, bits))
    parseNotes(file, place.at, place.size, place.align === 8 ? 8 : 4, notes);
  return notes;
}

function noteSections(file: ImageReader, bits: 32 | 64): { at: number; size: number; align: number }[] {
  const wide = bits === 64;
  const table = address(file, wide ? 40 : 32, bits);
  const entry = file.u16(wide ? 58 : 46);
  const count = file.u16(wide ? 60 : 48);
  if (table === 0 || count === 0 || count > MAX_HEADERS || entry < (wide ? 64 : 40)) return [];
  const found = [];
  for (let i = 0; i < count; i++) {
    const at = table + i * entry;
    if (file.u32(at + 4) !== SHT_NOTE) continue;
    const offset = address(file, at + (wide ? 24 : 16), bits);
    const size = address(file, at + (wide ? 32 : 20), bits);
    if (offset + size > file.length) file.fail(at, 'the note section leaves the file');
    found.push({ at: offset, size, align: address(file, at + (wide ? 48 : 32), bits) });
  }
  return found;
}

/**
 * A note: name size, description size, type (u32 each), then name and description, each padded to `align`.
 * A description that leaves its area is cut there, as Xen's own reader does: GRUB's PAE_MODE note claims 12 bytes
 * and has 4.
 */
function parseNotes(file: ImageReader, start: number, size: number, align: number, notes: ElfNote[]): void {
  const end = start + size;
  const up = (n: number) => Math.ceil(n / align) * align;
  for (let at = start; at + 12 <= end; ) {
    const nameSize = file.u32(at);
    const descriptionSize = file.u32(at + 4);
    const name = at + 12;
    const description = start + up(name + nameSize - start);
    if (description > end) file.fail(at, `the name of the note here (${nameSize} bytes) leaves its area`);
    if (notes.length >= MAX_NOTES) file.fail(at, `there are more than ${MAX_NOTES} notes`);
    notes.push({
      owner: text(file.bytes(name, nameSize)),
      type: file.u32(at + 8),
      description: file.bytes(description, Math.min(descriptionSize, end - description)),
      offset: at,
    });
    at = start + up(description + descriptionSize - start);
  }
}

/** Bytes up to the first zero, as Latin-1. */
export function text(bytes: Uint8Array): string {
  const zero = bytes.indexOf(0);
  return Array.from(zero < 0 ? bytes : bytes.subarray(0, zero), (b) => String.fromCharCode(b)).join('');
}
