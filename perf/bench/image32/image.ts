/** The flat 32-bit image that rexen's processor and others run alike, and what comes out of it. */
import { readFileSync } from 'node:fs';
import type { HostTime } from '../../timer.ts';

export const LOOPS32 = ['alu', 'sort', 'chase'] as const;
export type Loop32 = (typeof LOOPS32)[number];

export const LOAD_ADDRESS = 0x100000;
/** Where the image says what it does. */
export const OUTPUT_PORT = 0x3f8;
/** Guest memory it needs, bytes. */
export const MEMORY_BYTES = 4 << 20;

const PARAMETERS = 32;
const ENTRY_FIELD = 28;

/** The image, with its parameters set. */
export function image32(loop: Loop32, iterations: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(readFileSync(new URL('loops32.bin', import.meta.url)));
  const view = new DataView(bytes.buffer);
  view.setUint32(PARAMETERS, LOOPS32.indexOf(loop), true);
  view.setUint32(PARAMETERS + 4, iterations, true);
  return bytes;
}

/** Address at which a Multiboot loader enters it. */
export function entryOf(image: Uint8Array<ArrayBuffer>): number {
  return new DataView(image.buffer).getUint32(ENTRY_FIELD, true);
}

/** One run of it. */
export interface Run32 {
  /** Between start and end of the loop. */
  readonly host: HostTime;
  /** Instructions of the loop, if the machine counts them exactly. */
  readonly instructions: number | undefined;
  /** What it computed: the same on every machine. */
  readonly result: string;
}
