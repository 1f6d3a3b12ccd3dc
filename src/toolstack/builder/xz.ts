import { crc32 } from 'node:zlib';
import { undoX86Branches } from './bcj-x86.ts';
import { type Image, ImageReader } from './image.ts';
import { Lzma2Decoder } from './lzma2.ts';

const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
const CHECK_SIZES: Readonly<Record<number, number>> = { 0: 0, 1: 4 };

/**
 * Unpacks one .xz stream (The .xz File Format, version 1.1.0): header, blocks, index. Blocks may use LZMA2, with the
 * x86 branch filter before it, as Linux packs its kernel; checks may be none or CRC32, as Linux uses.
 * @param size how many bytes must come out in all
 * @throws ImageError on damage, other filters, other checks, or another size
 */
export function unpackXz(packed: Image, size: number): Uint8Array {
  const file = new ImageReader(packed);
  const magic = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
  if (magic.some((byte, i) => file.u8(i) !== byte)) file.fail(0, 'no .xz stream starts here');
  const check = file.u8(7);
  const checkSize = CHECK_SIZES[check];
  if (file.u8(6) !== 0 || checkSize === undefined)
    file.fail(6, `.xz check type ${check} is not supported (none or CRC32 is)`);
  if (file.u32(8) !== crc32(file.bytes(6, 2))) file.fail(8, '.xz stream header is damaged (CRC32)');
  const out = new Uint8Array(size);
  let written = 0;
  let at = 12;
  while (file.u8(at) !== 0) {
    const block = blockHeader(file, at);
    const target = out.subarray(written);
    const { end, written: got } = new Lzma2Decoder(file, block.data, target, block.dictionarySize).run();
    if (block.x86) undoX86Branches(target.subarray(0, got));
    at = block.data + Math.ceil((end - block.data) / 4) * 4;
    if (checkSize === 4 && file.u32(at) !== crc32(target.subarray(0, got)))
      file.fail(at, 'unpacked block is damaged (CRC32)');
    at += checkSize;
    written += got;
  }
  checkEnd(file, at);
  if (written !== size) file.fail(at, `${written} bytes came out of the .xz stream, ${size} were announced`);
  return out;
}

/** Index (record count, two integers a block, padding, CRC32) and footer (CRC32, size, flags, "YZ"). */
function checkEnd(file: ImageReader, start: number): void {
  const cursor = { at: start + 1 };
  for (let left = variableInteger(file, cursor) * 2; left > 0; left--) variableInteger(file, cursor);
  const end = start + Math.ceil((cursor.at - start) / 4) * 4;
  if (file.u32(end) !== crc32(file.bytes(start, end - start))) file.fail(start, '.xz index is damaged (CRC32)');
  const footer = end + 4;
  if (file.u32(footer) !== crc32(file.bytes(footer + 4, 6)) || file.u16(footer + 10) !== 0x5a59)
    file.fail(footer, '.xz footer is damaged (CRC32)');
}

interface Block {
  readonly data: number;
  readonly x86: boolean;
  readonly dictionarySize: number;
}

function blockHeader(file: ImageReader, at: number): Block {
  const size = (file.u8(at) + 1) * 4;
  if (file.u32(at + size - 4) !== crc32(file.bytes(at, size - 4))) file.fail(at, '.xz block header is damaged (CRC32)');
  const flags = file.u8(at + 1);
  if ((flags & 0x3c) !== 0) file.fail(at + 1, `.xz block flags 0x${flags.toString(16)} are unknown`);
  const cursor = { at: at + 2 };
  if (flags & 0x40) variableInteger(file, cursor);
  if (flags & 0x80) variableInteger(file, cursor);
  let x86 = false;
  let dictionarySize = 0;
  for (let left = (flags & 3) + 1; left > 0; left--) {
    const start = cursor.at;
    const id = variableInteger(file, cursor);
    const propertySize = variableInteger(file, cursor);
    if (id === FILTER_LZMA2 && propertySize === 1 && left === 1) dictionarySize = dictionary(file, cursor.at);
    else if (id === FILTER_X86 && propertySize === 0 && left === 2) x86 = true;
    else file.fail(start, `.xz filter 0x${id.toString(16)} is not supported here (x86 then LZMA2 is)`);
    cursor.at += propertySize;
  }
  return { data: at + size, x86, dictionarySize };
}

/** 2^12 to 2^32 bytes in half powers of two. */
function dictionary(file: ImageReader, at: number): number {
  const bits = file.u8(at);
  if (bits > 40) file.fail(at, `LZMA2 dictionary size ${bits} is out of range`);
  return bits === 40 ? 0xffffffff : (2 | (bits & 1)) * 2 ** ((bits >> 1) + 11);
}

/** Seven bits a byte, lowest first, the top bit says that more follow; at most 9 bytes. */
function variableInteger(file: ImageReader, cursor: { at: number }): number {
  let value = 0;
  for (let i = 0; i < 7; i++) {
    const byte = file.u8(cursor.at++);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return value;
  }
  return file.fail(cursor.at, '.xz integer is too large');
}
