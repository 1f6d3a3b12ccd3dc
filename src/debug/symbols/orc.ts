/**
 * Exact unwinding of a Linux kernel's stack with the tables that it carries for itself (CONFIG_UNWINDER_ORC, which is
 * Debian's; arch/x86/kernel/unwind_orc.c and asm/orc_types.h of Linux 6.1): for each stretch of code, how to find the
 * caller's frame.
 *
 *     __start_orc_unwind_ip   i32 each: address relative to itself, ascending
 *     __start_orc_unwind      6 bytes each, of the same index:
 *
 *       0           2           4
 *      ┌───────────┬───────────┬──────────┬──────────┬────────┬─────┐
 *      │ sp offset │ bp offset │ sp reg:4 │ bp reg:4 │ type:2 │ end │   from Linux 6.4 on: type:3, and end is a type
 *      └───────────┴───────────┴──────────┴──────────┴────────┴─────┘
 */
import type { ReadLinear } from './linear-reader.ts';
import type { SymbolTable } from './symbol-table.ts';

/** ORC_REG_*. */
export const ORC = {
  UNDEFINED: 0,
  PREV_SP: 1,
  DX: 2,
  DI: 3,
  BP: 4,
  SP: 5,
  R10: 6,
  R13: 7,
  BP_INDIRECT: 8,
  SP_INDIRECT: 9,
};

/** The order of the registers at the beginning of struct pt_regs, and where what IRET pops lies in it. */
const PT_REGS = { R13: 16, BP: 32, R10: 56, DX: 96, DI: 112, IP: 128 } as const;
const IRET_CS = 8;
const IRET_SP = 24;
const MAX_ENTRIES = 1 << 22;

type OrcType = 'call' | 'regs' | 'partial' | 'end' | 'none';
const OLD_TYPES: readonly OrcType[] = ['call', 'regs', 'partial', 'call'];
const NEW_TYPES: readonly OrcType[] = ['none', 'end', 'call', 'regs', 'partial', 'none', 'none', 'none'];

interface OrcEntry {
  readonly spOffset: bigint;
  readonly bpOffset: bigint;
  readonly spRegister: number;
  readonly bpRegister: number;
  readonly type: OrcType;
}

/** An entry as it is, for whoever wants them all. */
export interface OrcRow {
  /** Where it begins to hold. */
  readonly address: bigint;
  readonly spOffset: number;
  readonly bpOffset: number;
  readonly spRegister: number;
  readonly bpRegister: number;
  readonly type: OrcType;
}

/** Where an unwinding stands. */
export interface OrcState {
  readonly ip: bigint;
  readonly sp: bigint;
  readonly bp: bigint;
  /** `ip` is where the code was interrupted, not where a call returns to. */
  readonly interrupted: boolean;
  /** Value of the register at this offset of struct pt_regs, if all registers are known here. */
  register?(ptRegsOffset: number): bigint | undefined;
}

export const ORC_REGISTERS = PT_REGS;

export class OrcTables {
  readonly #read: ReadLinear;
  readonly #ips: bigint;
  readonly #entries: bigint;
  readonly #count: number;
  readonly #modern: boolean;

  private constructor(read: ReadLinear, ips: bigint, entries: bigint, count: number) {
    this.#read = read;
    this.#ips = ips;
    this.#entries = entries;
    this.#count = count;
    // Most code is entered by calls: type 0 at first, type 2 since.
    let calls = 0;
    for (let i = 0; i < 64; i++) if (((this.#flags(Math.floor((count * i) / 64)) >> 8) & 7) === 2) calls++;
    this.#modern = calls > 32;
  }

  /** The tables of a kernel with these symbols, if it has any. */
  static of(symbols: SymbolTable, read: ReadLinear): OrcTables | undefined {
    const ips = symbols.address('__start_orc_unwind_ip');
    const end = symbols.address('__stop_orc_unwind_ip');
    const entries = symbols.address('__start_orc_unwind');
    if (ips === undefined || end === undefined || entries === undefined) return undefined;
    const count = Number((end - ips) / 4n);
    return count > 0 && count <= MAX_ENTRIES ? new OrcTables(read, ips, entries, count) : undefined;
  }

  /** All entries, ascending; none if they cannot be read. */
  rows(): OrcRow[] {
    const ips = this.#read(this.#ips, 4 * this.#count);
    if (!ips) return [];
    const places = view(ips);
    const rows: OrcRow[] = [];
    for (let i = 0; i < this.#count; i++) {
      const entry = this.#entry(i);
      if (!entry) return [];
      const address = BigInt.asUintN(64, this.#ips + BigInt(4 * i + places.getInt32(4 * i, true)));
      rows.push({ ...entry, address, spOffset: Number(entry.spOffset), bpOffset: Number(entry.bpOffset) });
    }
    return rows;
  }

  /** The caller of `state`, 'end' at the bottom of the stack, or undefined where the tables do not help. */
  caller(state: OrcState): OrcState | 'end' | undefined {
    const entry = this.#find(state.interrupted ? state.ip : state.ip - 1n);
    if (!entry || entry.type === 'none') return undefined;
    if (entry.type === 'end') return 'end';
    const sp = this.#stackPointer(entry, state);
    if (sp === undefined) return undefined;
    if (entry.type !== 'call') return this.#interrupted(entry, sp, state);
    const ip = this.#word(sp - 8n);
    const bp = this.#framePointer(entry, sp, state);
    return ip === undefined || bp === undefined ? undefined : { ip, sp, bp, interrupted: false };
  }

  /** The frame at `sp` was pushed by an interrupt: all registers, or what IRET pops. */
  #interrupted(entry: OrcEntry, sp: bigint, state: OrcState): OrcState | 'end' | undefined {
    const whole = entry.type === 'regs';
    const at = whole ? sp + BigInt(PT_REGS.IP) : sp;
    const ip = this.#word(at);
    const cs = this.#word(at + BigInt(IRET_CS));
    const next = this.#word(at + BigInt(IRET_SP));
    if (ip === undefined || cs === undefined || next === undefined) return undefined;
    if ((cs & 3n) === 3n) return 'end';
    if (!whole) return { ip, sp: next, bp: this.#framePointer(entry, next, state) ?? state.bp, interrupted: true };
    const register = (offset: number) => this.#word(sp + BigInt(offset));
    return { ip, sp: next, bp: register(PT_REGS.BP) ?? 0n, interrupted: true, register };
  }

  #stackPointer({ spRegister, spOffset }: OrcEntry, state: OrcState): bigint | undefined {
    const indirect = (at: bigint, then: bigint) => {
      const value = this.#word(at);
      return value === undefined ? undefined : value + then;
    };
    switch (spRegister) {
      case ORC.SP:
        return state.sp + spOffset;
      case ORC.BP:
        return state.bp + spOffset;
      case ORC.SP_INDIRECT:
        return indirect(state.sp, spOffset);
      case ORC.BP_INDIRECT:
        return indirect(state.bp + spOffset, 0n);
      case ORC.R10:
        return state.register?.(PT_REGS.R10);
      case ORC.R13:
        return state.register?.(PT_REGS.R13);
      case ORC.DI:
        return state.register?.(PT_REGS.DI);
      case ORC.DX:
        return state.register?.(PT_REGS.DX);
      default:
        return undefined;
    }
  }

  #framePointer({ bpRegister, bpOffset }: OrcEntry, sp: bigint, state: OrcState): bigint | undefined {
    if (bpRegister === ORC.PREV_SP) return this.#word(sp + bpOffset);
    if (bpRegister === ORC.BP) return this.#word(state.bp + bpOffset);
    return bpRegister === ORC.UNDEFINED ? state.bp : undefined;
  }

  /** The entry of the stretch that `address` lies in. */
  #find(address: bigint): OrcEntry | undefined {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >> 1;
      const at = this.#ips + BigInt(4 * middle);
      const bytes = this.#read(at, 4);
      if (!bytes) return undefined;
      const ip = BigInt.asUintN(64, at + BigInt(view(bytes).getInt32(0, true)));
      if (ip <= address) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? undefined : this.#entry(low - 1);
  }

  #entry(index: number): OrcEntry | undefined {
    const bytes = this.#read(this.#entries + BigInt(6 * index), 6);
    if (!bytes) return undefined;
    const data = view(bytes);
    const flags = data.getUint16(4, true);
    const end = !this.#modern && (flags & 0x400) !== 0;
    return {
      spOffset: BigInt(data.getInt16(0, true)),
      bpOffset: BigInt(data.getInt16(2, true)),
      spRegister: flags & 15,
      bpRegister: (flags >> 4) & 15,
      type: end ? 'end' : this.#modern ? NEW_TYPES[(flags >> 8) & 7]! : OLD_TYPES[(flags >> 8) & 3]!,
    };
  }

  #flags(index: number): number {
    const bytes = this.#read(this.#entries + BigInt(6 * index + 4), 2);
    return bytes ? view(bytes).getUint16(0, true) : 0;
  }

  #word(at: bigint): bigint | undefined {
    const bytes = this.#read(BigInt.asUintN(64, at), 8);
    return bytes && view(bytes).getBigUint64(0, true);
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
