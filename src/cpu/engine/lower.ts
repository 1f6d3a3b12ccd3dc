/** From a decoded instruction to records. */
import type { InstructionRow } from '../../isa/row.ts';
import type { Instruction, Operand } from '../decode/instruction.ts';
import * as L from '../layout.ts';
import { POINTER_OPCODE, POINTER_SEGMENT } from '../semantics/x87-stack.ts';
import { SEG } from '../state.ts';
import { LAST, LENGTH, LINKS } from './code-cache.ts';
import { codeBits, FLAT_CODE, FLAT_DATA, FLAT_STACK, MODE_BITS, shapeOf } from './code-mode.ts';
import { type HandlerSpec, hasWideImmediate, specOf, SIMPLE } from './handlers.ts';
import { SpecialOp } from './interpreter.ts';
import * as R from './records.ts';

export interface HandlerEntry {
  readonly op: number;
  readonly spec: HandlerSpec;
  /** Number of the variant for simple addresses, if there is one. */
  readonly simpleOp?: number;
}

/** Segments 0..5 or -1: how an address is reached. */
const isStringLike = new Set(['MOVS', 'STOS', 'LODS', 'SCAS', 'CMPS', 'XLAT']);

/** Where records are put together before they go to the pool. One block at a time. */
/** Mnemonics whose first operand, in memory, is a source. */
const onlyReads = /^(CMP|TEST|BT|PUSH|MUL|IMUL|DIV|IDIV|JMP|CALL|V?LDMXCSR)$/;
const isHint = /^(NOP|PREFETCH\w*)$/;

export class Lowering {
  readonly words = new Int32Array(R.MAX_BLOCK_RECORDS * 4);
  readonly offsets = new Uint16Array(R.MAX_BLOCK_RECORDS);
  readonly lengths = new Uint8Array(R.MAX_BLOCK_RECORDS);
  /** Records so far. */
  count = 0;
  /** Instructions so far. */
  instructions = 0;
  readonly #handlers: ReadonlyMap<string, HandlerEntry>;
  readonly #byShape = new Map<number, HandlerEntry | null>();

  constructor(handlers: ReadonlyMap<string, HandlerEntry>) {
    this.#handlers = handlers;
  }

  start(): void {
    this.count = 0;
    this.instructions = 0;
  }

  /** The handler for an instruction in code mode `mode`, or undefined if TypeScript must execute it. */
  handlerOf(insn: Instruction, mode: number): HandlerEntry | undefined {
    const shape = shapeOf(mode, insn.addressSize, insn.memory.segment);
    const signature =
      ((((((insn.row.id * 8 + Math.log2(insn.operandSize) - 3) * 2 + (insn.rexW ? 1 : 0)) * 2 + (insn.hasMem ? 1 : 0)) *
        2 +
        insn.vexL) *
        4 +
        insn.rep) *
        4 +
        ['s64', 's32', 'sx'].indexOf(shape.stackMode)) *
        4 +
      ['a64', 'a32', 'x32', 'x16'].indexOf(shape.addressing) +
      (codeBits(mode) === 64 ? 0.5 : 0);
    let entry = this.#byShape.get(signature);
    if (entry === undefined) {
      const spec = specOf(insn, shape);
      entry = spec === undefined ? null : this.#entryOf(spec.key);
      if (spec !== undefined && entry === null) throw new Error(`no handler was built for ${spec.key}`);
      this.#byShape.set(signature, entry);
    }
    return entry ?? undefined;
  }

  /**
   * Whether the attempt of generated code can serve at all: that of x87 keeps the address of its operand, so this must come from
   * the record itself; that of explicit string compares reads 32-bit lengths.
   */
  mayAttempt(insn: Instruction, offset: number, mode: number): boolean {
    if (insn.rexW && /PCMPESTR/.test(insn.row.mnemonic)) return false;
    if (!insn.hasMem || !isX87(insn.row)) return true;
    if ((mode & MODE_BITS) === 2) return insn.addressSize === 64 && fitsDirect(insn, offset);
    return insn.addressSize === 32 && isFlat(insn.memory.segment, mode);
  }

  #entryOf(key: string): HandlerEntry | null {
    const entry = this.#handlers.get(key);
    const simple = this.#handlers.get(key + SIMPLE);
    return entry === undefined ? null : simple === undefined ? entry : { ...entry, simpleOp: simple.op };
  }

  /** Appends a bare record. */
  raw(op: number, offset: number, length: number, imm = 0, disp = 0): void {
    this.#put(op, 0, 0, 0, 0, 0, disp, imm, offset, length);
  }

  /** Appends `insn`, which starts `offset` bytes into the block. `rip` is only used for its page. */
  instruction(insn: Instruction, entry: HandlerEntry, offset: number, mode: number, page: PageInfo): void {
    this.instructions++;
    const { spec } = entry;
    const prepared = insn.hasMem && this.#prepareAddress(insn, spec, offset, mode);
    if (spec.terminator) this.#transfer(insn, entry, offset, mode, page, prepared);
    else this.#plain(insn, entry, offset, prepared);
  }

  /** Ends the block behind `offset`: goes on there. */
  end(offset: number, page: PageInfo): void {
    this.#put(SpecialOp.END, offset & 255, offset >> 8, page.linkable(offset) ? R.LINK_FALL : 0, 0, 0, 0, 0, offset, 0);
    this.#finish(LINKS);
    this.#pad(offset);
  }

  /** Marks the last record as the block's end and numbers `left`. */
  #finish(links: number): void {
    this.lengths[this.count - 1]! |= LAST | links;
  }

  #pad(offset: number): void {
    this.#put(0, 0, 0, 0, 0, 0, 0, 0, offset, 0);
  }

  /** Writes `left` into every record, once the block is complete. Records of END and padding keep 0. */
  numberInstructions(): void {
    let left = this.instructions;
    for (let i = 0; i < this.count; i++) {
      const length = this.lengths[i]! & LENGTH;
      if (length === 0) continue;
      this.words[i * 4 + 1] = (this.words[i * 4 + 1]! & 0x00ffffff) | (left << 24);
      const next = i + 1 < this.count && this.offsets[i + 1] === this.offsets[i];
      if (!next) left--;
    }
  }

  #put(
    op: number,
    a: number,
    b: number,
    base: number,
    index: number,
    seg: number,
    disp: number,
    imm: number,
    offset: number,
    length: number,
  ): void {
    const w = this.count * 4;
    this.words[w] = op | (a << 16) | (b << 24);
    this.words[w + 1] = base | (index << 8) | (seg << 16);
    this.words[w + 2] = disp;
    this.words[w + 3] = imm;
    this.offsets[this.count] = offset;
    this.lengths[this.count++] = length;
  }

  /** Register fields and immediate of a record: a, b, then imm's and disp's low bytes. */
  #operandFields(
    insn: Instruction,
    prepared: boolean,
    offset: number,
  ): { a: number; b: number; base: number; index: number; seg: number; disp: number; imm: number } {
    const f = { a: 0, b: 0, base: L.SLOT_ZERO, index: L.SLOT_ZERO, seg: L.SLOT_ZERO, disp: 0, imm: insn.imm };
    const registers: number[] = [];
    for (let i = 0; i < insn.operandCount; i++) {
      const o = insn.operands[i]!;
      if (o.kind === 'gpr' || o.kind === 'reg8') registers.push(gprSlot(o));
      else if (o.kind === 'xmm' || o.kind === 'ymm' || o.kind === 'mmx') registers.push(o.reg * 8);
      else if (o.kind === 'st') registers.push(o.reg);
    }
    if (isX87(insn.row)) f.imm = x87Pointers(insn, offset);
    f.a = registers[0] ?? 0;
    f.b = registers[1] ?? 0;
    if (registers.length > 2) {
      // VEX instructions with three registers and an immediate have no memory operand, so `disp` is free.
      if (!insn.hasMem) f.disp = insn.imm;
      f.imm = registers[2]!;
    }
    if (registers.length > 3) f.disp = registers[3]!;
    if (insn.hasMem) {
      if (prepared) f.base = L.SLOT_EA;
      else directAddress(insn, offset, f);
    } else if (insn.row.mnemonic === 'ENTER') f.disp = insn.imm2;
    else if (hasWideImmediate(insn.row) && insn.operandSize === 64) {
      f.disp = insn.imm;
      f.imm = insn.immHi;
    }
    return f;
  }

  #plain(insn: Instruction, entry: HandlerEntry, offset: number, prepared: boolean): void {
    const f = this.#operandFields(insn, prepared, offset);
    if (isStringLike.has(entry.spec.mnemonic)) this.#stringFields(insn, f);
    const simple = entry.simpleOp !== undefined && f.index === L.SLOT_ZERO && f.seg === L.SLOT_ZERO;
    this.#put(simple ? entry.simpleOp : entry.op, f.a, f.b, f.base, f.index, f.seg, f.disp, f.imm, offset, insn.length);
  }

  /** Source segment of a string instruction: slot of its base where flat, its number for the checks otherwise. */
  #stringFields(insn: Instruction, f: { seg: number; disp: number }): void {
    f.seg = segmentSlot(insn.memory.segment, insn.mode);
    f.disp = insn.memory.segment;
  }

  #transfer(
    insn: Instruction,
    entry: HandlerEntry,
    offset: number,
    _mode: number,
    page: PageInfo,
    prepared: boolean,
  ): void {
    const fall = offset + insn.length;
    const target = fall + insn.imm;
    const f = this.#operandFields(insn, prepared, offset);
    const repeats = entry.spec.rep !== '' || isStringLike.has(entry.spec.mnemonic);
    const indirect = !repeats && entry.spec.operands.length > 0;
    if (repeats) {
      this.#stringFields(insn, f);
      const flags = page.linkable(fall) ? R.LINK_FALL : 0;
      this.#put(entry.op, fall & 255, fall >> 8, flags, 0, f.seg, f.disp, 0, offset, insn.length);
    } else if (indirect) {
      // Indirect, or RET imm16: operands take the usual fields; CALL finds the return offset in imm.
      this.#put(
        entry.op,
        f.a,
        f.b,
        f.base,
        f.index,
        f.seg,
        f.disp,
        entry.spec.mnemonic === 'RET' ? f.imm : fall,
        offset,
        insn.length,
      );
    } else {
      const flags = (page.linkable(target) ? R.LINK_TAKEN : 0) | (page.linkable(fall) ? R.LINK_FALL : 0);
      this.#put(entry.op, fall & 255, fall >> 8, flags, 0, 0, target, 0, offset, insn.length);
    }
    this.#finish(indirect ? 0 : LINKS);
    this.#pad(offset);
  }

  /** Emits an address record where the direct form does not do. @returns true if SLOT_EA holds the address. */
  #prepareAddress(insn: Instruction, spec: HandlerSpec, offset: number, mode: number): boolean {
    const m = insn.memory;
    const is64 = (mode & MODE_BITS) === 2;
    // Hints look at no segment.
    if (isHint.test(spec.mnemonic)) return false;
    if (spec.mnemonic === 'LEA') {
      if (insn.addressSize === codeBits(mode) && insn.addressSize !== 16 && fitsDirect(insn, offset)) return false;
      this.#address(SpecialOp.ADDRESS_LEA, insn, offset, 0);
      return true;
    }
    if (is64 && insn.addressSize === 64 && fitsDirect(insn, offset)) return false;
    if (is64 && m.ripRelative && insn.addressSize === 64) {
      // Relative to the block's start the displacement leaves 32 bits: two steps.
      this.#put(
        SpecialOp.ADDRESS_LEA,
        64,
        0,
        L.SLOT_BLOCK_RIP,
        L.SLOT_ZERO,
        L.SLOT_ZERO,
        offset + insn.length,
        0,
        offset,
        insn.length,
      );
      this.#put(
        SpecialOp.ADDRESS_FLAT32,
        64,
        0,
        L.SLOT_EA,
        L.SLOT_ZERO,
        segmentSlot(m.segment, insn.mode),
        m.disp,
        0,
        offset,
        insn.length,
      );
      return true;
    }
    if (is64 && insn.addressSize === 64) {
      this.#put(
        SpecialOp.ADDRESS_OFFSET,
        0,
        0,
        0,
        0,
        segmentSlot(m.segment, insn.mode),
        m.disp,
        m.dispHi,
        offset,
        insn.length,
      );
      return true;
    }
    if (is64) {
      this.#address(SpecialOp.ADDRESS_FLAT32, insn, offset, 0);
      return true;
    }
    if (isFlat(m.segment, mode) && insn.addressSize === 32) return false;
    const memory = spec.operands.find((o) => o.kind === 'm');
    const bytes = (memory?.size ?? 8) / 8;
    const writes = spec.operands[0]?.kind === 'm' && !onlyReads.test(spec.mnemonic);
    this.#address(SpecialOp.ADDRESS, insn, offset, bytes | (writes ? 0x10000 : 0));
    return true;
  }

  #address(op: number, insn: Instruction, offset: number, imm: number): void {
    const f = { base: L.SLOT_ZERO, index: L.SLOT_ZERO, seg: L.SLOT_ZERO, disp: 0 };
    directAddress(insn, offset, f);
    if (op === SpecialOp.ADDRESS) f.seg = L.SLOT_ZERO | insn.memory.scale;
    this.#put(op, insn.addressSize, insn.memory.segment, f.base, f.index, f.seg, f.disp, imm, offset, insn.length);
  }
}

/** D8 to DF. */
const isX87 = (row: InstructionRow): boolean => row.map === '1B' && (row.opcode & 0xf8) === 0xd8;

/** What the x87 unit remembers of an instruction, as semantics/x87.ts draws it. */
function x87Pointers(insn: Instruction, offset: number): number {
  const opcode = ((insn.opcode & 7) << 8) | insn.modrm;
  return offset | (opcode << POINTER_OPCODE) | (insn.hasMem ? insn.memory.segment << POINTER_SEGMENT : 0);
}

/** Outside 64-bit mode: segments that need neither base nor checks. */
function isFlat(segment: number, mode: number): boolean {
  if (segment === SEG.CS) return false;
  if (segment === SEG.SS) return (mode & FLAT_STACK) !== 0;
  return segment < 4 && (mode & FLAT_DATA) !== 0;
}

/** Where links may go: the block's own page, in flat code. */
export interface PageInfo {
  /** True if the instruction `offset` bytes from the block's start lies on the same page. */
  linkable(offset: number): boolean;
}

export function pageInfo(startInPage: number, mode: number): PageInfo {
  const flat = (mode & FLAT_CODE) !== 0;
  return { linkable: (offset) => flat && startInPage + offset >= 0 && startInPage + offset < 4096 };
}

function gprSlot(o: Operand): number {
  return o.reg * 8 + (o.high8 ? 1 : 0);
}

/** Slot of a segment's base: zero where it is flat by definition. */
function segmentSlot(segment: number, mode: number): number {
  return mode === 64 && segment >= 4 ? L.SLOT_SEG_BASE + 8 * segment : L.SLOT_ZERO;
}

/** RIP-relative displacements are kept relative to the block's start; they may leave 32 bits, and moffs64 does not fit at all. */
function fitsDirect(insn: Instruction, offset: number): boolean {
  const m = insn.memory;
  if (m.ripRelative) return Math.abs(m.disp + offset + insn.length) < 0x7fffffff;
  return m.dispHi === m.disp >> 31;
}

function directAddress(
  insn: Instruction,
  offset: number,
  f: { base: number; index: number; seg: number; disp: number },
): void {
  const m = insn.memory;
  f.base = m.ripRelative ? L.SLOT_BLOCK_RIP : m.base < 0 ? L.SLOT_ZERO : m.base * 8;
  f.index = m.index < 0 ? L.SLOT_ZERO : m.index * 8;
  f.seg = segmentSlot(m.segment, insn.mode) | m.scale;
  f.disp = m.ripRelative ? m.disp + offset + insn.length : m.disp;
}
