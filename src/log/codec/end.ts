/**
 * The last frame of a recording that was ended, not cut:
 *
 *     0           8           16          24       32        64
 *     ┌───────────┬───────────┬───────────┬────────┬─────────┐
 *     │ offset of │ events    │ last tick │ 0      │ SHA-256 │
 *     │ INDEX     │           │           │        │         │
 *     └───────────┴───────────┴───────────┴────────┴─────────┘
 */
import { toU53 } from '../record.ts';

export const END_BYTES = 64;
const DIGEST_AT = 32;

/** What a session adds up to. */
export interface Totals {
  readonly events: number;
  readonly lastTick: number;
  /** SHA-256, hexadecimal (EventLog.digest). */
  readonly digest: string;
}

export function encodeEnd(indexAt: number, totals: Totals): Uint8Array {
  const bytes = new Uint8Array(END_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of [indexAt, totals.events, totals.lastTick].entries()) {
    view.setUint32(8 * i, value % 0x1_0000_0000, true);
    view.setUint32(8 * i + 4, value / 0x1_0000_0000, true);
  }
  bytes.set(Buffer.from(totals.digest, 'hex').subarray(0, 32), DIGEST_AT);
  return bytes;
}

export function decodeEnd(payload: Uint8Array): { indexAt: number; totals: Totals } {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const u53 = (at: number) => toU53(view.getUint32(at, true), view.getUint32(at + 4, true));
  const digest = Buffer.from(payload.subarray(DIGEST_AT, END_BYTES)).toString('hex');
  return { indexAt: u53(0), totals: { events: u53(8), lastTick: u53(16), digest } };
}
