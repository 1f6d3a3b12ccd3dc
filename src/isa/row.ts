/**
 * The shape of one row of the instruction table: everything that is known about an encoding before a byte of it
 * is read. Decoder, interpreter, compiler, tests and coverage are all built from these rows.
 */

/** Opcode maps (Intel SDM Vol. 2, appendix A). `V*` are the VEX-encoded maps 1 to 3. */
export type OpcodeMap = '1B' | '0F' | '0F38' | '0F3A' | 'V0F' | 'V0F38' | 'V0F3A';

/** Mandatory prefix: none allowed to be meaningful (`any`), required absent (`np`), or required present. */
export type MandatoryPrefix = 'any' | 'np' | '66' | 'f3' | 'f2';

/** What the instruction does to the straight line of execution. `system` covers everything after which the engine
 * must look around again (mode, paging, interrupt flag, segment or device state may have changed). */
export type BlockEnd = 'none' | 'jump' | 'call' | 'ret' | 'cond' | 'system';

/** Which check guards execution. `io`: IOPL or the TSS bitmap; `umip`: CR4.UMIP; `tsd`, `pce`: CR4.TSD, CR4.PCE. */
export type Privilege = 'none' | 'cpl0' | 'iopl' | 'io' | 'umip' | 'tsd' | 'pce';

export type RepKind = 'none' | 'rep' | 'repz';

/** Operand address methods: Intel's letters, plus `fixed` (a named register or the constant 1). */
export type OperandMethod =
  | 'A' // far pointer in the instruction (selector in imm2)
  | 'B' // VEX.vvvv general register
  | 'C' // control register by ModRM.reg
  | 'D' // debug register by ModRM.reg
  | 'E' // general register or memory by ModRM.rm
  | 'G' // general register by ModRM.reg
  | 'H' // VEX.vvvv vector register
  | 'I' // immediate, zero-extended when a byte or word
  | 'J' // branch displacement
  | 'L' // vector register in the top half of an immediate byte
  | 'M' // memory only
  | 'N' // MMX register by ModRM.rm
  | 'O' // memory offset in the instruction
  | 'P' // MMX register by ModRM.reg
  | 'Q' // MMX register or memory
  | 'R' // general register by ModRM.rm, never memory
  | 'S' // segment register by ModRM.reg
  | 'T' // x87 stack register by ModRM.rm
  | 'U' // vector register by ModRM.rm, never memory
  | 'V' // vector register by ModRM.reg
  | 'W' // vector register or memory
  | 'X' // memory at DS:rSI
  | 'Y' // memory at ES:rDI
  | 'Z' // general register in the low three opcode bits
  | 'fixed';

/** The kinds of a decoded operand. */
export type OperandKind =
  | 'none'
  | 'reg8'
  | 'gpr'
  | 'mem'
  | 'vsib'
  | 'si'
  | 'di'
  | 'imm'
  | 'rel'
  | 'far'
  | 'sreg'
  | 'creg'
  | 'dreg'
  | 'mmx'
  | 'xmm'
  | 'ymm'
  | 'st';

export interface OperandSpec {
  /** As written in the table, e.g. `Ev`, `Gb`, `rAX`, `Rd/Mb`. */
  readonly text: string;
  readonly method: OperandMethod;
  /** Width code of the register form (see operand-kinds.ts). */
  readonly size: number;
  /** Width code of the memory form. */
  readonly memSize: number;
  /** True when an immediate byte is sign-extended to the operand size. */
  readonly signed: boolean;
  /** For `fixed`: kind, register number (or constant). */
  readonly fixedKind: OperandKind;
  readonly fixedReg: number;
  readonly vsib: boolean;
}

/** Masks over EFLAGS bits. A flag in no mask is unchanged. `modified` holds only flags with a defined result that
 * is neither constantly 0 (`cleared`) nor 1 (`set`). */
export interface FlagEffects {
  readonly tested: number;
  readonly modified: number;
  readonly undefined: number;
  readonly cleared: number;
  readonly set: number;
}

export interface InstructionRow {
  /** Index into `ROWS`. Stable for one version of the table. */
  readonly id: number;
  /** Intel's name in upper case; `Jcc`, `SETcc`, `CMOVcc` with the condition spelled out. */
  readonly mnemonic: string;
  /** The row's selector as written, e.g. `0F.66.6F` or `80/0`. */
  readonly selector: string;
  readonly map: OpcodeMap;
  readonly opcode: number;
  readonly prefix: MandatoryPrefix;
  /** ModRM.reg that selects the row, or -1. */
  readonly digit: number;
  /** Whole ModRM byte that selects the row, or -1. */
  readonly exactModrm: number;
  /** REX.W/VEX.W that selects the row, or -1 when it is an operand-size bit or ignored. */
  readonly w: number;
  /** VEX.L that selects the row, or -1 when it is a size bit or ignored. */
  readonly l: number;
  /** ModRM forms accepted. */
  readonly form: 'any' | 'mem' | 'reg';
  readonly hasModrm: boolean;
  /** MOV to/from CR and DR: ModRM.mod is not looked at, rm is always a register. */
  readonly ignoresMod: boolean;
  readonly operands: readonly OperandSpec[];
  readonly usesVvvv: boolean;
  /** Gathers: the memory operand has a vector of indices. */
  readonly usesVsib: boolean;
  /** Byte operation: `Instruction.operandSize` is 8 whatever the prefixes say. */
  readonly byteSized: boolean;
  readonly flags: FlagEffects;
  /** LOCK allowed, if the destination is memory. */
  readonly lockable: boolean;
  readonly rep: RepKind;
  /** 64-bit mode: operand size 64 unless 66 (push, pop, near branches as on AMD, ...). */
  readonly default64: boolean;
  /** 64-bit mode: operand size always 64. */
  readonly force64: boolean;
  /** REX.W does not widen the operation (far pointers on AMD). */
  readonly ignoresW: boolean;
  readonly invalid64: boolean;
  readonly only64: boolean;
  readonly privilege: Privilege;
  readonly blockEnd: BlockEnd;
  /** CPUID feature that must be offered, '' for the base set. */
  readonly feature: string;
  /** The same for VEX.L = 1; mostly equal to `feature`. */
  readonly feature256: string;
}
