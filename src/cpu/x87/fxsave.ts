/**
 * The x87 part of the FXSAVE image (SDM vol. 1, table 10-2), shared by FXSAVE and XSAVE's legacy region:
 *
 *   0 FCW | 2 FSW | 4 FTW (8 bits) | 6 FOP | 8 FIP 32, FCS, - (or FIP 64) | 16 FDP 32, FDS, - (or FDP 64)
 *   24 MXCSR | 28 MXCSR_MASK | 32 + 16 i: ST(i) or MMi, 80 bits | 160 + 16 n: XMMn | 416..511 untouched
 */
import type { X87State } from './state.ts';
import { FCW_FIXED, FCW_WRITABLE, FSW_B, FSW_ES, FSW_EXCEPTIONS } from './state.ts';

/** Bytes of the image that are written; the rest of its 512 bytes stays as it was in memory. */
export const FXSAVE_WRITTEN = 416;
/** Writable bits of MXCSR here: all of the low 16 (no misaligned-SSE bit). */
export const MXCSR_MASK = 0xffff;

/** Write the x87 fields at offset 0..23 and ST0..ST7 at 32..159. `wide` is the 64-bit form (REX.W). */
export function saveX87(state: X87State, image: DataView, wide: boolean): void {
  image.setUint16(0, state.fcw, true);
  image.setUint16(2, state.fsw, true);
  image.setUint16(4, state.ftw & 0xff, true);
  image.setUint16(6, state.fop & 0x7ff, true);
  savePointer(image, 8, state.fip, state.fcs, wide);
  savePointer(image, 16, state.fdp, state.fds, wide);
  const top = (state.fsw >> 11) & 7;
  for (let i = 0; i < 8; i++) {
    const value = state.getReg((top + i) & 7);
    image.setBigUint64(32 + 16 * i, BigInt.asUintN(64, value), true);
    image.setBigUint64(40 + 16 * i, value >> 64n, true);
  }
}

function savePointer(image: DataView, at: number, offset: bigint, selector: number, wide: boolean): void {
  if (wide) {
    image.setBigUint64(at, offset, true);
    return;
  }
  image.setUint32(at, Number(offset & 0xffffffffn), true);
  image.setUint16(at + 4, selector, true);
  image.setUint16(at + 6, 0, true);
}

/** Read the same fields back. ES and B follow from flags and masks. */
export function restoreX87(state: X87State, image: DataView, wide: boolean): void {
  state.fcw = (image.getUint16(0, true) & FCW_WRITABLE) | FCW_FIXED;
  const fsw = image.getUint16(2, true) & ~(FSW_ES | FSW_B);
  state.fsw = fsw & ~state.fcw & FSW_EXCEPTIONS ? fsw | FSW_ES | FSW_B : fsw;
  state.ftw = image.getUint16(4, true) & 0xff;
  state.fop = image.getUint16(6, true) & 0x7ff;
  state.fip = wide ? image.getBigUint64(8, true) : BigInt(image.getUint32(8, true));
  state.fdp = wide ? image.getBigUint64(16, true) : BigInt(image.getUint32(16, true));
  state.fcs = wide ? 0 : image.getUint16(12, true);
  state.fds = wide ? 0 : image.getUint16(20, true);
  const top = (state.fsw >> 11) & 7;
  for (let i = 0; i < 8; i++) {
    const high = BigInt(image.getUint16(40 + 16 * i, true));
    state.setReg((top + i) & 7, (high << 64n) | image.getBigUint64(32 + 16 * i, true));
  }
}

/** The SSE fields: MXCSR, its mask, and XMM registers from `vectors` (32 bytes apart, low halves). */
export function saveSse(mxcsr: number, vectors: Uint8Array, count: number, image: DataView): void {
  image.setUint32(24, mxcsr, true);
  image.setUint32(28, MXCSR_MASK, true);
  const bytes = new Uint8Array(image.buffer, image.byteOffset, image.byteLength);
  for (let n = 0; n < count; n++) bytes.set(vectors.subarray(32 * n, 32 * n + 16), 160 + 16 * n);
}

/**
 * Read the XMM registers back, leaving upper YMM halves alone, and return MXCSR.
 * The caller raises #GP first when the image's MXCSR has bits outside MXCSR_MASK.
 */
export function restoreSse(vectors: Uint8Array, count: number, image: DataView): number {
  const bytes = new Uint8Array(image.buffer, image.byteOffset, image.byteLength);
  for (let n = 0; n < count; n++) vectors.set(bytes.subarray(160 + 16 * n, 176 + 16 * n), 32 * n);
  return image.getUint32(24, true);
}
