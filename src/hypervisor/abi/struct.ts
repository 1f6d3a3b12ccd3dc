/**
 * C structures as data. A structure is declared once, by its fields in order; offsets follow from the caller's ABI:
 *
 *                      64-bit caller (System V x86-64)      32-bit caller (System V i386)
 *     long, pointer    8 bytes, aligned to 8                4 bytes, aligned to 4
 *     uint64_t         8 bytes, aligned to 8                8 bytes, aligned to 4
 *
 * Xen calls the second one the compat ABI. A layout reads a structure from bytes into a plain record and back.
 */

/** Width of a caller's `long` in bytes. */
export type Width = 4 | 8;

/** How one type lies in memory. Numbers for up to 32 bits and for frame numbers, bigint for 64 bits and pointers. */
export interface CType<V> {
  size(w: Width): number;
  align(w: Width): number;
  read(view: DataView, at: number, w: Width): V;
  write(view: DataView, at: number, value: V, w: Width): void;
}

export type ValueOf<T> = T extends CType<infer V> ? V : never;

function scalar<V>(
  size: number | ((w: Width) => number),
  align: (w: Width) => number,
  read: (v: DataView, at: number, w: Width) => V,
  write: (v: DataView, at: number, x: V, w: Width) => void,
): CType<V> {
  return { size: typeof size === 'number' ? () => size : size, align, read, write };
}

export const u8: CType<number> = scalar(
  1,
  () => 1,
  (v, at) => v.getUint8(at),
  (v, at, x) => v.setUint8(at, x),
);
export const i8: CType<number> = scalar(
  1,
  () => 1,
  (v, at) => v.getInt8(at),
  (v, at, x) => v.setInt8(at, x),
);
export const u16: CType<number> = scalar(
  2,
  () => 2,
  (v, at) => v.getUint16(at, true),
  (v, at, x) => v.setUint16(at, x, true),
);
export const i16: CType<number> = scalar(
  2,
  () => 2,
  (v, at) => v.getInt16(at, true),
  (v, at, x) => v.setInt16(at, x, true),
);
export const u32: CType<number> = scalar(
  4,
  () => 4,
  (v, at) => v.getUint32(at, true),
  (v, at, x) => v.setUint32(at, x, true),
);
export const i32: CType<number> = scalar(
  4,
  () => 4,
  (v, at) => v.getInt32(at, true),
  (v, at, x) => v.setInt32(at, x, true),
);
export const u64: CType<bigint> = scalar(
  8,
  (w) => w,
  (v, at) => v.getBigUint64(at, true),
  (v, at, x) => v.setBigUint64(at, BigInt.asUintN(64, x), true),
);
/** `uint64_aligned_t`: on 8 bytes in both ABIs. */
export const u64Aligned: CType<bigint> = { ...u64, align: () => 8 };
export const i64: CType<bigint> = { ...u64, read: (v, at) => v.getBigInt64(at, true) };
/** `unsigned long`, `xen_ulong_t`, and pointers and handles, which are the same size. */
export const ulong: CType<bigint> = scalar(
  (w) => w,
  (w) => w,
  (v, at, w) => (w === 8 ? v.getBigUint64(at, true) : BigInt(v.getUint32(at, true))),
  (v, at, x, w) =>
    w === 8 ? v.setBigUint64(at, BigInt.asUintN(64, x), true) : v.setUint32(at, Number(x & 0xffffffffn), true),
);
export const ptr = ulong;
/** `xen_pfn_t` as a number. Beyond 2^53 it loses bits, which leaves it as invalid as it was. */
export const pfn: CType<number> = scalar(
  (w) => w,
  (w) => w,
  (v, at, w) => v.getUint32(at, true) + (w === 8 ? v.getUint32(at + 4, true) * 0x1_0000_0000 : 0),
  (v, at, x, w) => {
    v.setUint32(at, x, true);
    if (w === 8) v.setUint32(at + 4, x < 0 ? -1 : Math.floor(x / 0x1_0000_0000), true);
  },
);

/** `n` bytes as they are. */
export function bytes(n: number): CType<Uint8Array> {
  return scalar(
    n,
    () => 1,
    (v, at) => new Uint8Array(v.buffer, v.byteOffset + at, n).slice(),
    (v, at, x) => {
      const out = new Uint8Array(v.buffer, v.byteOffset + at, n);
      out.fill(0);
      out.set(x.subarray(0, n));
    },
  );
}

export function array<V>(type: CType<V>, n: number): CType<V[]> {
  return scalar<V[]>(
    (w) => type.size(w) * n,
    (w) => type.align(w),
    (v, at, w) => Array.from({ length: n }, (_, i) => type.read(v, at + i * type.size(w), w)),
    (v, at, x, w) => {
      for (let i = 0; i < n; i++) type.write(v, at + i * type.size(w), x[i], w);
    },
  );
}

type Fields = Readonly<Record<string, CType<never>>>;
// biome-ignore lint/suspicious/noExplicitAny: the value types are recovered by ValueOf below
type AnyFields = Readonly<Record<string, CType<any>>>;
export type RecordOf<F extends Fields | AnyFields> = { -readonly [K in keyof F]: ValueOf<F[K]> };

export interface Struct<V> extends CType<V> {
  readonly name: string;
  /** Byte offset of a field. */
  offset(field: keyof V & string, w: Width): number;
}

interface Layout {
  readonly size: number;
  readonly align: number;
  readonly at: readonly number[];
}

const roundUp = (n: number, to: number) => Math.ceil(n / to) * to;

/** `struct name { fields in order }`, laid out as the caller's compiler does. */
export function struct<F extends AnyFields>(name: string, fields: F): Struct<RecordOf<F>> {
  const names = Object.keys(fields);
  const types = Object.values(fields);
  const layOut = (w: Width): Layout => {
    const at: number[] = [];
    let end = 0;
    let align = 1;
    for (const type of types) {
      const start = roundUp(end, type.align(w));
      at.push(start);
      end = start + type.size(w);
      align = Math.max(align, type.align(w));
    }
    return { size: roundUp(end, align), align, at };
  };
  const layouts = { 4: layOut(4), 8: layOut(8) };
  return {
    name,
    size: (w) => layouts[w].size,
    align: (w) => layouts[w].align,
    offset: (field, w) => layouts[w].at[names.indexOf(field)],
    read(view, start, w) {
      const out: Record<string, unknown> = {};
      for (let i = 0; i < types.length; i++) out[names[i]] = types[i].read(view, start + layouts[w].at[i], w);
      return out as RecordOf<F>;
    },
    write(view, start, value, w) {
      const record = value as Record<string, unknown>;
      for (let i = 0; i < types.length; i++) types[i].write(view, start + layouts[w].at[i], record[names[i]], w);
    },
  };
}

/** `union { members }`: every member at offset 0. Reading gives all of them; writing takes exactly one. */
export function union<F extends AnyFields>(members: F): CType<Partial<RecordOf<F>>> {
  const types = Object.entries(members);
  return scalar(
    (w) => roundUp(Math.max(...types.map(([, t]) => t.size(w))), Math.max(...types.map(([, t]) => t.align(w)))),
    (w) => Math.max(...types.map(([, t]) => t.align(w))),
    (v, at, w) => Object.fromEntries(types.map(([n, t]) => [n, t.read(v, at, w)])) as Partial<RecordOf<F>>,
    (v, at, x, w) => {
      const given = types.filter(([n]) => (x as Record<string, unknown>)[n] !== undefined);
      if (given.length !== 1) throw new TypeError('a union is written by exactly one member');
      given[0][1].write(v, at, (x as Record<string, never>)[given[0][0]], w);
    },
  );
}
