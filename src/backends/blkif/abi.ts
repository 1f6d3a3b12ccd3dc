/** xen/include/public/io/blkif.h: numbers, and the requests as bytes. */
export const BLKIF_OP = {
  READ: 0,
  WRITE: 1,
  WRITE_BARRIER: 2,
  FLUSH_DISKCACHE: 3,
  DISCARD: 5,
  INDIRECT: 6,
} as const;
export const BLKIF_RSP = { OKAY: 0, ERROR: -1, EOPNOTSUPP: -2 } as const;

export const MAX_SEGMENTS_PER_REQUEST = 11;
/** What Linux's own back end offers. */
export const MAX_INDIRECT_SEGMENTS = 256;
const SEGMENTS_PER_INDIRECT_PAGE = 512;

/**
 * The layouts differ in the alignment of 64-bit fields. 64-bit:
 *
 *      0    1     2        4    8     16              24
 *     ┌────┬─────┬────────┬────┬─────┬───────────────┬─────────────────────────┐
 *     │ op │ nseg│ handle │ -- │ id  │ sector_number │ 11 × {gref, first, last}│  112 bytes
 *     └────┴─────┴────────┴────┴─────┴───────────────┴─────────────────────────┘
 *      indirect:  op, indirect_op, u16 nseg │ id │ sector_number │ u16 handle, --, 8 × gref from 28 on
 *      discard:   op, flag, handle          │ id │ sector_number │ u64 nr_sectors
 *
 * 32-bit: id at 4 and everything behind it 4 bytes earlier, 108 bytes.
 */
export interface BlkifLayout {
  readonly entryBytes: number;
  readonly id: number;
  readonly responseBytes: number;
}
export const LAYOUTS: Readonly<Record<string, BlkifLayout>> = {
  'x86_64-abi': { entryBytes: 112, id: 8, responseBytes: 16 },
  'x86_32-abi': { entryBytes: 108, id: 4, responseBytes: 12 },
};

/** A piece of one granted page; sectors within it, both inclusive. */
export interface Segment {
  readonly ref: number;
  readonly first: number;
  readonly last: number;
}

export interface BlkifRequest {
  /** READ, WRITE … even if it came as INDIRECT. */
  readonly operation: number;
  readonly id: bigint;
  readonly sector: number;
  /** Segments of a read or write, or undefined if they are nonsense. */
  readonly segments: readonly Segment[] | undefined;
  /** Of a discard. */
  readonly sectors: number;
}

/** Reads a request. `page` gives the content of a granted page, for indirect segments. */
export function parseRequest(
  raw: DataView,
  layout: BlkifLayout,
  page: (ref: number) => Uint8Array | undefined,
): BlkifRequest {
  const operation = raw.getUint8(0);
  const id = raw.getBigUint64(layout.id, true);
  const sector = Number(raw.getBigUint64(layout.id + 8, true));
  const rest = layout.id + 16;
  if (operation === BLKIF_OP.DISCARD)
    return { operation, id, sector, segments: [], sectors: Number(raw.getBigUint64(rest, true)) };
  if (operation === BLKIF_OP.INDIRECT) {
    const inner = raw.getUint8(1);
    const segments = indirectSegments(raw, rest + 4, raw.getUint16(2, true), page);
    return { operation: inner, id, sector, segments, sectors: 0 };
  }
  const count = raw.getUint8(1);
  if (count > MAX_SEGMENTS_PER_REQUEST) return { operation, id, sector, segments: undefined, sectors: 0 };
  const segments = Array.from({ length: count }, (_, i) => segment(raw, rest + 8 * i));
  return { operation, id, sector, segments, sectors: 0 };
}

function indirectSegments(
  raw: DataView,
  refsAt: number,
  count: number,
  page: (ref: number) => Uint8Array | undefined,
): Segment[] | undefined {
  if (count === 0 || count > MAX_INDIRECT_SEGMENTS) return undefined;
  const segments: Segment[] = [];
  for (let i = 0; i < count; i++) {
    const at = i % SEGMENTS_PER_INDIRECT_PAGE;
    const ref = raw.getUint32(refsAt + 4 * Math.floor(i / SEGMENTS_PER_INDIRECT_PAGE), true);
    const bytes = page(ref);
    if (!bytes) return undefined;
    segments.push(segment(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 8 * at));
  }
  return segments;
}

function segment(view: DataView, at: number): Segment {
  return { ref: view.getUint32(at, true), first: view.getUint8(at + 4), last: view.getUint8(at + 5) };
}

/** A response: id, operation, status. */
export function responseBytes(layout: BlkifLayout, id: bigint, operation: number, status: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(layout.responseBytes));
  view.setBigUint64(0, id, true);
  view.setUint8(8, operation);
  view.setInt16(10, status, true);
  return new Uint8Array(view.buffer);
}
