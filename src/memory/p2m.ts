import { type MachineMemory, PAGE_SHIFT, PAGE_SIZE } from './frames.ts';

/** What a guest frame is. A hole leads accesses to the outside as MMIO. */
export const P2mType = { HOLE: 0, RAM: 1, RAM_RO: 2, GRANT_RW: 3, GRANT_RO: 4 } as const;
export type P2mType = (typeof P2mType)[keyof typeof P2mType];

/**
 * Nested paging as a table: guest frame to machine frame. One u32 an entry:
 *
 *      31                               4 3      0
 *     ┌──────────────────────────────────┬────────┐
 *     │ mfn                              │ type   │   0 = hole
 *     └──────────────────────────────────┴────────┘
 *
 * Guest frames below 4 GiB sit in a flat array, those above in a map.
 * Whoever changes an entry must have the TLBs of the domain's vcpus flushed: `onChange` is called for that.
 */
export class P2m {
  readonly #low = new Uint32Array(1 << 20);
  readonly #high = new Map<number, number>();
  onChange: (gfn: number, entry: number) => void = () => {};

  entry(gfn: number): number {
    return gfn < 1 << 20 ? this.#low[gfn]! : (this.#high.get(gfn) ?? 0);
  }

  set(gfn: number, mfn: number, type: P2mType): void {
    const entry = type === P2mType.HOLE ? 0 : ((mfn << 4) | type) >>> 0;
    if (gfn < 1 << 20) this.#low[gfn] = entry;
    else if (entry === 0) this.#high.delete(gfn);
    else this.#high.set(gfn, entry);
    this.onChange(gfn, entry);
  }

  /** Machine frame of `gfn`, or -1 for a hole. */
  mfn(gfn: number): number {
    const e = this.entry(gfn);
    return e === 0 ? -1 : e >>> 4;
  }

  type(gfn: number): P2mType {
    return (this.entry(gfn) & 15) as P2mType;
  }

  isWritable(gfn: number): boolean {
    const t = this.type(gfn);
    return t === P2mType.RAM || t === P2mType.GRANT_RW;
  }

  /** For snapshots: pairs of gfn and entry. */
  save(): Float64Array {
    const pairs: number[] = [];
    const low = this.#low;
    for (let gfn = 0; gfn < low.length; gfn++) if (low[gfn] !== 0) pairs.push(gfn, low[gfn]!);
    for (const [gfn, entry] of this.#high) pairs.push(gfn, entry);
    return Float64Array.from(pairs);
  }
  /** Does not call `onChange`: translations come back with the TLBs. */
  restore(pairs: Float64Array): void {
    this.#low.fill(0);
    this.#high.clear();
    for (let i = 0; i < pairs.length; i += 2) {
      if (pairs[i]! < 1 << 20) this.#low[pairs[i]!] = pairs[i + 1]!;
      else this.#high.set(pairs[i]!, pairs[i + 1]!);
    }
  }

  /** Every mapped guest frame, ascending. */
  *entries(): Generator<[gfn: number, mfn: number, type: P2mType]> {
    for (let gfn = 0; gfn < this.#low.length; gfn++) {
      const e = this.#low[gfn]!;
      if (e !== 0) yield [gfn, e >>> 4, (e & 15) as P2mType];
    }
    for (const gfn of [...this.#high.keys()].sort((a, b) => a - b)) {
      const e = this.#high.get(gfn)!;
      if (e !== 0) yield [gfn, e >>> 4, (e & 15) as P2mType];
    }
  }
}

/** An access to guest-physical memory that is not there (a hole, or beyond the domain's memory). */
export class BadGuestAddress extends Error {
  readonly gpa: number;
  constructor(gpa: number, length: number) {
    super(`guest-physical range 0x${gpa.toString(16)} + ${length} is not RAM`);
    this.name = 'BadGuestAddress';
    this.gpa = gpa;
  }
}

/** A domain's guest-physical memory as bytes, for builders, back ends and debuggers. Addresses in bytes. */
export class GuestPhysical {
  readonly p2m: P2m;
  readonly machine: MachineMemory;
  /** Told of every machine frame written from outside the processor: decoded code and dirty tracking hang on it. */
  onWrite: (mfn: number) => void = () => {};

  constructor(machine: MachineMemory, p2m: P2m) {
    this.machine = machine;
    this.p2m = p2m;
  }

  /** @throws BadGuestAddress */
  read(gpa: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.#walk(gpa, length, (frame, at, done) =>
      out.set(frame.subarray(at, Math.min(PAGE_SIZE, at + length - done)), done),
    );
    return out;
  }

  /** @throws BadGuestAddress, before anything is written. */
  write(gpa: number, bytes: Uint8Array): void {
    this.#walk(gpa, bytes.length, () => {});
    this.#walk(gpa, bytes.length, (frame, at, done, mfn) => {
      frame.set(bytes.subarray(done, done + PAGE_SIZE - at), at);
      this.onWrite(mfn);
    });
  }

  /** A live view within one page. @throws BadGuestAddress, RangeError if it crosses a page. */
  view(gpa: number, length: number): Uint8Array {
    const at = gpa % PAGE_SIZE;
    if (at + length > PAGE_SIZE) throw new RangeError('a view cannot cross a page');
    const mfn = this.p2m.mfn((gpa - at) / PAGE_SIZE);
    if (mfn < 0) throw new BadGuestAddress(gpa, length);
    return this.machine.frame(mfn).subarray(at, at + length);
  }

  readU32(gpa: number): number {
    const b = this.read(gpa, 4);
    return (b[0]! | (b[1]! << 8) | (b[2]! << 16) | (b[3]! << 24)) >>> 0;
  }
  readU64(gpa: number): bigint {
    return BigInt(this.readU32(gpa)) | (BigInt(this.readU32(gpa + 4)) << 32n);
  }
  writeU32(gpa: number, value: number): void {
    this.write(gpa, Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
  }
  writeU64(gpa: number, value: bigint): void {
    this.writeU32(gpa, Number(value & 0xffffffffn));
    this.writeU32(gpa + 4, Number((value >> 32n) & 0xffffffffn));
  }

  #walk(gpa: number, length: number, visit: (frame: Uint8Array, at: number, done: number, mfn: number) => void): void {
    for (let done = 0; done < length; ) {
      const at = (gpa + done) % PAGE_SIZE;
      const mfn = this.p2m.mfn(Math.floor((gpa + done) / (1 << PAGE_SHIFT)));
      if (mfn < 0) throw new BadGuestAddress(gpa + done, length - done);
      visit(this.machine.frame(mfn), at, done, mfn);
      done += PAGE_SIZE - at;
    }
  }
}
