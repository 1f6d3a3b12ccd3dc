import type { ProcessorContext } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import { ATTR, type CpuState, REG, SEG } from '../state.ts';
import { attributesOf, baseOf, type Descriptor, isCanonical, limitOf, linear, MASK32 } from './descriptors.ts';

const MASK16 = 0xffffn;
const MASK64 = 0xffffffffffffffffn;

/**
 * A stack that is about to be used, current or not: pushes and pops move its own pointer, and the registers
 * change only when `commitPointer` is called, so a transfer that faults half-way leaves nothing behind.
 */
export class StackView {
  pointer: bigint;
  /** Low bits of RSP in use: 16, 32 or 64. */
  readonly mask: bigint;
  readonly #cpu: ProcessorContext;
  readonly #base: bigint;
  readonly #limit: number;
  readonly #attributes: number;
  readonly #supervisor: boolean | undefined;
  readonly #error: number;

  /** `error`: code of the #SS that a limit or canonical violation raises. `supervisor`: accesses ignore CPL. */
  constructor(
    cpu: ProcessorContext,
    pointer: bigint,
    mask: bigint,
    base: bigint,
    limit: number,
    attributes: number,
    error: number,
    supervisor: boolean | undefined,
  ) {
    this.#cpu = cpu;
    this.pointer = pointer & mask;
    this.mask = mask;
    this.#base = mask === MASK64 ? 0n : base;
    this.#limit = limit;
    this.#attributes = attributes;
    this.#error = error;
    this.#supervisor = supervisor;
  }

  /** The stack SS:RSP names now. */
  static current(cpu: ProcessorContext, error = 0): StackView {
    const { s } = cpu;
    return new StackView(
      cpu,
      s.reg(REG.RSP),
      stackMask(s),
      s.base(SEG.SS),
      s.limit(SEG.SS),
      s.attributes(SEG.SS),
      error,
      undefined,
    );
  }

  /** A stack in the segment `d`, not yet loaded, for code of privilege `cpl`. */
  static of(cpu: ProcessorContext, d: Descriptor, pointer: bigint, error: number, cpl: number): StackView {
    const attributes = attributesOf(d);
    const mask = attributes & ATTR.DB ? MASK32 : MASK16;
    return new StackView(
      cpu,
      pointer,
      mask,
      BigInt(baseOf(d)),
      limitOf(d),
      attributes,
      error,
      cpl < 3 ? true : undefined,
    );
  }

  /** A flat 64-bit stack for code of privilege `cpl`. */
  static long(cpu: ProcessorContext, pointer: bigint, error: number, cpl: number): StackView {
    return new StackView(cpu, pointer, MASK64, 0n, 0, 0, error, cpl < 3 ? true : undefined);
  }

  /** Checks `size` bytes at stack offset `offset`; returns their linear address. */
  #at(offset: bigint, size: number): bigint {
    const last = offset + BigInt(size - 1);
    if (this.mask === MASK64) {
      if (!isCanonical(offset) || !isCanonical(last)) raise(VECTOR.SS, this.#error);
      return offset;
    }
    const limit = BigInt(this.#limit);
    const expandDown = (this.#attributes & 0x1c) === 0x14;
    const bad = expandDown ? offset <= limit || last > (this.#attributes & ATTR.DB ? MASK32 : MASK16) : last > limit;
    if (bad || this.#attributes & ATTR.NULL) raise(VECTOR.SS, this.#error);
    return linear(this.#cpu.s, this.#base + offset);
  }

  /** Raises unless `count` pushes of `size` bytes would succeed; later pushes of them cannot fault. */
  reserve(count: number, size: number): void {
    const total = BigInt(count * size);
    const { mem } = this.#cpu;
    // On two pages the first push faults first.
    const onePage = (this.pointer - total) >> 12n === (this.pointer - 1n) >> 12n;
    if (onePage && (this.mask === MASK64 || this.pointer >= total)) {
      this.#at((this.pointer - total) & this.mask, count * size);
      mem.probeWrite(this.#at((this.pointer - BigInt(size)) & this.mask, size), size, this.#supervisor);
      mem.probeWrite(this.#at((this.pointer - total) & this.mask, count * size), count * size, this.#supervisor);
      return;
    }
    let p = this.pointer;
    for (let i = 0; i < count; i++) {
      p = (p - BigInt(size)) & this.mask;
      mem.probeWrite(this.#at(p, size), size, this.#supervisor);
    }
  }

  /** Looks at the item `bytes` above the top, as returns do: they read the return address last, and CR2 shows it. */
  touch(bytes: number, size: number): void {
    const offset = (this.pointer + BigInt(bytes)) & this.mask;
    this.#cpu.mem.readBytes(this.#at(offset, size), new Uint8Array(size), this.#supervisor);
  }

  push(value: bigint, size: number): void {
    const offset = (this.pointer - BigInt(size)) & this.mask;
    const at = this.#at(offset, size);
    const { mem } = this.#cpu;
    if (size === 8) mem.write64(at, BigInt.asUintN(64, value), this.#supervisor);
    else if (size === 4) mem.write32(at, Number(BigInt.asUintN(32, value)), this.#supervisor);
    else mem.write16(at, Number(BigInt.asUintN(16, value)), this.#supervisor);
    this.pointer = offset;
  }

  /** Reads the item `index` places above the top without popping. */
  peek(index: number, size: number): bigint {
    const at = this.#at((this.pointer + BigInt(index * size)) & this.mask, size);
    const { mem } = this.#cpu;
    if (size === 8) return mem.read64(at, this.#supervisor);
    return BigInt(size === 4 ? mem.read32(at, this.#supervisor) >>> 0 : mem.read16(at, this.#supervisor));
  }

  pop(size: number): bigint {
    const value = this.peek(0, size);
    this.skip(size);
    return value;
  }

  skip(bytes: number): void {
    this.pointer = (this.pointer + BigInt(bytes)) & this.mask;
  }

  /** Writes RSP: only the bits in use change on a 16-bit stack, a 32-bit one clears the upper half. */
  commitPointer(): void {
    commitStackPointer(this.#cpu.s, this.pointer, this.mask);
  }
}

/** Width of the stack pointer by the loaded SS and mode. */
export function stackMask(s: CpuState): bigint {
  if (s.is64) return MASK64;
  return s.attributes(SEG.SS) & ATTR.DB ? MASK32 : MASK16;
}

export function commitStackPointer(s: CpuState, pointer: bigint, mask: bigint): void {
  if (mask === MASK16) s.u16[REG.RSP * 4] = Number(pointer & MASK16);
  else s.setReg(REG.RSP, pointer & mask);
}
