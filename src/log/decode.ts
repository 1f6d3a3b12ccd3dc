/** Records to typed events and back. Not for hot code: see EventLog.append for that. */
import type { Ticks } from '../base/ticks.ts';
import type { MachineEvent } from './event.ts';
import type { FieldType } from './kinds.ts';
import {
  BLOB_LENGTH_WORD,
  type FieldLayout,
  FIELD_WORD,
  high32,
  LAYOUT_BY_NUMBER,
  low32,
  NONE_16,
  toU53,
  toU64,
  type KindLayout,
} from './record.ts';

const utf8 = new TextDecoder('utf-8');
const encoder = new TextEncoder();

/**
 * One record as an event.
 * @param base index of the record's word 0 in `words`.
 * @param blobs where the record's bytes are, from `blobAt` on; they are copied.
 * @throws Error for a kind that the table does not have.
 */
export function decodeRecord(
  words: Uint32Array,
  base: number,
  seq: number,
  blobs: Uint8Array,
  blobAt: number,
): MachineEvent {
  const layout = LAYOUT_BY_NUMBER[words[base] & 0xffff];
  if (!layout) throw new Error(`unknown event kind ${words[base] & 0xffff}`);
  const place = words[base + 1];
  const event: Record<string, unknown> = {
    seq,
    tick: toU53(words[base + 2], words[base + 3]) as Ticks,
    kind: layout.name,
    domain: words[base] >>> 16,
    vcpu: orNone(place & 0xffff),
    pcpu: orNone(place >>> 16),
  };
  const end = blobAt + (layout.hasBytes ? words[base + BLOB_LENGTH_WORD] : 0);
  let at = blobAt;
  for (const field of layout.fields) {
    if (!field.variable) {
      event[field.name] = decodeField(field.type, words, base + field.word);
      continue;
    }
    const stop = field.word < 0 ? end : Math.min(end, at + words[base + field.word]);
    const bytes = blobs.slice(at, stop);
    event[field.name] = field.type === 'text' ? utf8.decode(bytes) : bytes;
    at = stop;
  }
  return event as unknown as MachineEvent;
}

function orNone(value: number): number {
  return value === NONE_16 ? -1 : value;
}

function decodeField(type: FieldType, words: Uint32Array, at: number): unknown {
  const low = words[at];
  if (typeof type !== 'string') return type[low] ?? `unknown-${low}`;
  switch (type) {
    case 'i32':
      return low | 0;
    case 'bool':
      return low !== 0;
    case 'u53':
      return toU53(low, words[at + 1]);
    case 'u64':
      return toU64(low, words[at + 1]);
    case 'i64':
      return BigInt.asIntN(64, toU64(low, words[at + 1]));
    case 'u64x5':
      return [0, 2, 4, 6, 8].map((i) => toU64(words[at + i], words[at + i + 1]));
    default:
      return low;
  }
}

/** Field words (12) and bytes of an event, for EventLog.emit. @throws RangeError for an unknown enumeration name. */
export function encodeFields(
  layout: KindLayout,
  fields: Readonly<Record<string, unknown>>,
): {
  words: number[];
  bytes: Uint8Array | undefined;
} {
  const words: number[] = new Array(12).fill(0);
  const parts: Uint8Array[] = [];
  for (const field of layout.fields) {
    const value = fields[field.name];
    if (field.variable) {
      const bytes = typeof value === 'string' ? encoder.encode(value) : (value as Uint8Array);
      if (field.word >= 0) words[field.word - FIELD_WORD] = bytes.length;
      parts.push(bytes);
    } else {
      encodeField(field, value, words);
    }
  }
  if (!layout.hasBytes) return { words, bytes: undefined };
  return { words, bytes: parts.length === 1 ? parts[0] : new Uint8Array(Buffer.concat(parts)) };
}

function encodeField(field: FieldLayout, value: unknown, words: number[]): void {
  const at = field.word - FIELD_WORD;
  const type = field.type;
  if (typeof type !== 'string') {
    const index = type.indexOf(value as string);
    if (index < 0) throw new RangeError(`no ${field.name} is named ${String(value)}: ${type.join(', ')}`);
    words[at] = index;
    return;
  }
  if (type === 'u64x5') {
    for (const [i, arg] of (value as readonly bigint[]).slice(0, 5).entries()) {
      words[at + 2 * i] = low32(arg);
      words[at + 2 * i + 1] = high32(arg);
    }
  } else if (type === 'u53' || type === 'u64' || type === 'i64') {
    words[at] = low32(value as number | bigint);
    words[at + 1] = high32(value as number | bigint);
  } else {
    words[at] = Number(value) >>> 0;
  }
}
