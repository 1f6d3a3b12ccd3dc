/** What every load and store does to bytes, little-endian (core specification 4.4.7). */
import { join } from './reference.ts';

export interface MemoryReference {
  /** How many bytes of memory the instruction touches. */
  readonly bytes: number;
  /** `bytes` start at the effective address; a load gives its result's bits, a store what it leaves there. */
  (bytes: Uint8Array, value: bigint, lane: number): { result?: bigint; memory?: Uint8Array };
}

const U = BigInt.asUintN;
const S = BigInt.asIntN;

function little(bytes: Uint8Array, at: number, count: number): bigint {
  let value = 0n;
  for (let i = 0; i < count; i++) value |= BigInt(bytes[at + i]) << BigInt(8 * i);
  return value;
}

function split(value: bigint, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

const touching = (bytes: number, run: (...args: Parameters<MemoryReference>) => ReturnType<MemoryReference>) =>
  Object.assign(run, { bytes }) as MemoryReference;

const loads = (bytes: number, width: number, signed = false): MemoryReference =>
  touching(bytes, (memory) => {
    const value = little(memory, 0, bytes);
    return { result: signed ? U(width, S(8 * bytes, value)) : value };
  });

const stores = (bytes: number): MemoryReference => touching(bytes, (_, value) => ({ memory: split(value, bytes) }));

/** Loads `64 / from` lanes of `from` bits and widens each to twice that. */
const widens = (from: number, signed: boolean): MemoryReference =>
  touching(8, (memory) => {
    const lanes = Array.from({ length: 64 / from }, (_, i) => {
      const lane = little(memory, (i * from) / 8, from / 8);
      return signed ? S(from, lane) : lane;
    });
    return { result: join(lanes, 2 * from) };
  });

export const MEMORY_REFERENCES: Record<string, MemoryReference> = {
  'i32.load': loads(4, 32),
  'i64.load': loads(8, 64),
  'f32.load': loads(4, 32),
  'f64.load': loads(8, 64),
  'v128.load': loads(16, 128),
  'i32.store': stores(4),
  'i64.store': stores(8),
  'f32.store': stores(4),
  'f64.store': stores(8),
  'v128.store': stores(16),
  'i64.load32_s': loads(4, 64, true),
  'i64.load32_u': loads(4, 64),
  'i64.store32': stores(4),
  'v128.load8x8_s': widens(8, true),
  'v128.load8x8_u': widens(8, false),
  'v128.load16x4_s': widens(16, true),
  'v128.load16x4_u': widens(16, false),
  'v128.load32x2_s': widens(32, true),
  'v128.load32x2_u': widens(32, false),
  'v128.load32_zero': loads(4, 128),
  'v128.load64_zero': loads(8, 128),
};

for (const [type, width] of [
  ['i32', 32],
  ['i64', 64],
] as const) {
  for (const bytes of [1, 2]) {
    MEMORY_REFERENCES[`${type}.load${8 * bytes}_s`] = loads(bytes, width, true);
    MEMORY_REFERENCES[`${type}.load${8 * bytes}_u`] = loads(bytes, width);
    MEMORY_REFERENCES[`${type}.store${8 * bytes}`] = stores(bytes);
  }
}

for (const bits of [8, 16, 32, 64]) {
  const bytes = bits / 8;
  MEMORY_REFERENCES[`v128.load${bits}_splat`] = touching(bytes, (memory) => {
    return { result: join(Array(128 / bits).fill(little(memory, 0, bytes)), bits) };
  });
  MEMORY_REFERENCES[`v128.load${bits}_lane`] = touching(bytes, (memory, value, lane) => {
    const lanes = Array.from({ length: 128 / bits }, (_, i) => U(bits, value >> BigInt(i * bits)));
    return { result: join(lanes.with(lane, little(memory, 0, bytes)), bits) };
  });
  MEMORY_REFERENCES[`v128.store${bits}_lane`] = touching(bytes, (_, value, lane) => {
    return { memory: split(value >> BigInt(lane * bits), bytes) };
  });
}
