/** Cases: an instruction of the table (or random bytes), in a mode, with a state that suits it. */
import { Decoder } from '../../../src/cpu/decoder.ts';
import { Instruction } from '../../../src/cpu/decode/instruction.ts';
import { ROWS } from '../../../src/isa/instruction-table.ts';
import type { InstructionRow } from '../../../src/isa/row.ts';
import type { TakerCase } from './case.ts';
import { baseOf, selectorOf } from './descriptors.ts';
import { type Bits, encode } from './encode.ts';
import { familyOf, formOf, NOT_TAKEN } from './forms.ts';
import { hostHas } from './native.ts';
import { CODE } from './contents.ts';
import { chooseSegments, DATA, flat, place } from './places.ts';
import { Preparation } from './prepare.ts';
import type { Random } from './random.ts';
import { randomBytes } from './random-bytes.ts';
import type { Naming } from './taken.ts';

export interface Generated {
  readonly taken: TakerCase;
  readonly naming: Naming;
}

/** Instructions that show TF, whose next instruction runs before the trap, or that trap halfway. */
const NO_STEP = /^(PUSHF|POPF|IRET|MOV|POP|LSS|VP?GATHER\w+)$/;
/** Instructions that may go anywhere: only single-step stops them. */
const MUST_STEP = /^(J|LOOP|CALL|RET|JMPF|IRET)/;

/** Rows that can be compared, by family. */
export function rowsByFamily(flags: ReadonlySet<string>): Map<string, InstructionRow[]> {
  const families = new Map<string, InstructionRow[]>();
  for (const row of ROWS) {
    if (NOT_TAKEN.has(row.mnemonic) || !hostHas(flags, row)) continue;
    const family = familyOf(row);
    families.set(family, [...(families.get(family) ?? []), row]);
  }
  return families;
}

/** The local code segment that ends in the middle of the page. */
const SHORT_CODE = selectorOf(13);

export class Generator {
  readonly #decoder = new Decoder();
  readonly #r: Random;
  readonly #mode: Bits;
  readonly #rows: readonly InstructionRow[];
  readonly #seed: number;
  #count = 0;

  /** @param rows to choose from; none: random bytes */
  constructor(rows: readonly InstructionRow[], mode: Bits, seed: number, r: Random) {
    const exists = (row: InstructionRow): boolean =>
      mode === 64 ? !row.invalid64 || r.chance(20) : !row.only64 || r.chance(20);
    this.#rows = rows.filter(exists);
    this.#mode = mode;
    this.#seed = seed;
    this.#r = r;
  }

  /** One case, or undefined where the choice cannot be taken. */
  next(): Generated | undefined {
    const r = this.#r;
    const mode = this.#mode;
    const segments = mode === 64 && !r.chance(3) ? flat(64) : chooseSegments(r, mode);
    const codeBase = baseOf(segments.cs);
    // Near the end of the page or segment now and then: the fetch faults.
    const size = segments.cs === SHORT_CODE ? 0x800 : 4096;
    const codeOffset = r.chance(1.5) ? size - 1 - r.below(12) : 0x20 + r.below(size - 0xa0);
    const rip = CODE + codeOffset - codeBase;
    const absolute = (): number => Number(BigInt.asIntN(32, place(r, 8, mode) - BigInt(baseOf(segments.ds))));
    const wanted = this.#rows.length > 0 ? r.pick(this.#rows) : undefined;
    const bytes = wanted ? encode(wanted, mode, r, { rip, absolute }) : randomBytes(r, mode);
    if (bytes === undefined) return undefined;
    let insn = new Instruction();
    const decoded = this.#decoder.decode(bytes, 0, bytes.length, mode, insn);
    // What goes on behind its bytes would be another instruction in another place.
    if (decoded === 'need-more') return undefined;
    const known = decoded === 'ok';
    if (known && NOT_TAKEN.has(insn.row.mnemonic)) return undefined;
    if (!known) {
      insn = new Instruction();
      insn.row = wanted ?? NOTHING;
      insn.addressSize = mode;
      insn.operandSize = mode === 16 ? 16 : 32;
    }
    const { mnemonic } = insn.row;
    // The request's mask is an address then, and may name components that ours has not.
    const { base, index } = insn.memory;
    if (known && /^X(SAVE|RSTOR)/.test(mnemonic) && [base, index].some((n) => n === 0 || n === 2)) return undefined;
    // System calls of 32-bit code, and Linux's own interrupt.
    if (mnemonic === 'INT' && (insn.imm & 0xff) === 0x80) return undefined;
    // Behind an instruction stands HLT, so that a wrong length shows as well.
    const code = bytes.subarray(0, Math.min(known ? insn.length : bytes.length, 4096 - codeOffset));
    const prepared = new Preparation(insn, mode, segments, rip, r);
    const random = wanted === undefined;
    const step =
      MUST_STEP.test(mnemonic) ||
      (random ? insn.rep === 0 && !NO_STEP.test(mnemonic) : !NO_STEP.test(mnemonic) && insn.rep === 0 && r.chance(10));
    return {
      taken: { code, codeOffset, step, state: prepared.state, patches: prepared.patches },
      naming: {
        id: '',
        family: random ? 'random' : familyOf(insn.row),
        form: known ? formOf(insn) : `invalid ${mnemonic.toLowerCase()}`,
        mnemonic,
        insn: known ? insn : undefined,
        operandAt: known && insn.hasMem ? prepared.operandAt : BigInt(DATA),
      },
    };
  }

  /** `family-mode-seed-number`. */
  id(family: string): string {
    const number = String(this.#count++).padStart(6, '0');
    return `${family}-${this.#mode === 64 ? '' : `${this.#mode}-`}${this.#seed}-${number}`;
  }
}

const NOTHING = ROWS.find(({ mnemonic }) => mnemonic === 'NOP')!;
