/** The x87 stack, its exceptions, and when a result may be written. The instructions live beside this file. */
import {
  F80,
  FLAG_INVALID,
  FLAG_OVERFLOW,
  FLAG_UNDERFLOW,
  FLAGS_POST,
  FLAGS_PRE,
  FloatEnv,
} from '../softfloat/index.ts';
import type { X87State } from './state.ts';
import { FCW_FIXED, FCW_WRITABLE, FSW_B, FSW_C1, FSW_ES, FSW_EXCEPTIONS, FSW_SF, FSW_TOP } from './state.ts';

/** Largest memory operand: the FXSAVE image. */
export const OPERAND_BYTES = 512;

type Words = Omit<X87State, 'getReg' | 'setReg'>;

function copyWords(from: Words, to: Words): void {
  to.fcw = from.fcw;
  to.fsw = from.fsw;
  to.ftw = from.ftw;
  to.fop = from.fop;
  to.fip = from.fip;
  to.fdp = from.fdp;
  to.fcs = from.fcs;
  to.fds = from.fds;
}

export class X87Unit {
  readonly state: X87State;
  readonly env = new FloatEnv();
  /** Memory operand: filled before a load, read after a store, little-endian as in guest memory. */
  readonly bytes = new Uint8Array(OPERAND_BYTES);
  readonly operand = new DataView(this.bytes.buffer);
  /** RFLAGS: read by FCMOVcc; FCOMI writes ZF, PF, CF and clears OF, SF, AF. */
  eflags = 0;
  /** FNSTENV and relatives: the 16-bit layout (14/94 bytes), and the protected-mode layout. */
  environment16 = false;
  environmentProtected = true;
  private readonly saved = { fcw: 0, fsw: 0, ftw: 0, fop: 0, fip: 0n, fdp: 0n, fcs: 0, fds: 0 };

  constructor(state: X87State) {
    this.state = state;
  }

  /** Start an instruction: rounding and masks from FCW, no flags; remembers what `rollback` restores. */
  begin(): void {
    this.env.loadFcw(this.state.fcw);
    copyWords(this.state, this.saved);
  }

  /** Undo a store whose memory write faulted: stores change the words and pointers, never register contents. */
  rollback(): void {
    copyWords(this.saved, this.state);
  }

  /** An unmasked exception waits for the next waiting instruction: #MF. */
  get pending(): boolean {
    return (this.state.fsw & FSW_ES) !== 0;
  }

  get top(): number {
    return (this.state.fsw >> 11) & 7;
  }
  set top(value: number) {
    this.state.fsw = (this.state.fsw & ~FSW_TOP) | ((value & 7) << 11);
  }

  physical(i: number): number {
    return (this.top + i) & 7;
  }
  isEmpty(i: number): boolean {
    return ((this.state.ftw >> this.physical(i)) & 1) === 0;
  }
  st(i: number): bigint {
    return this.state.getReg(this.physical(i));
  }
  /** Write ST(i) and mark it valid. */
  setSt(i: number, value: bigint): void {
    const p = this.physical(i);
    this.state.setReg(p, value);
    this.state.ftw |= 1 << p;
  }
  free(i: number): void {
    this.state.ftw &= ~(1 << this.physical(i));
  }
  pop(): void {
    this.free(0);
    this.top = this.top + 1;
  }
  /** Make a new top holding `value`. Callers have checked for overflow. */
  push(value: bigint): void {
    this.top = this.top - 1;
    this.setSt(0, value);
  }

  clearC1(): void {
    this.state.fsw &= ~FSW_C1;
  }
  setC1(on: boolean): void {
    this.state.fsw = (this.state.fsw & ~FSW_C1) | (on ? FSW_C1 : 0);
  }
  /** Set condition codes: `mask` says which of FSW_C0..C3 to replace. */
  setConditions(mask: number, value: number): void {
    this.state.fsw = (this.state.fsw & ~mask) | (value & mask);
  }

  /** ES and B follow from the flags and the masks. */
  updateSummary(): void {
    const unmasked = this.state.fsw & ~this.state.fcw & FSW_EXCEPTIONS;
    const summary = unmasked ? FSW_ES | FSW_B : 0;
    this.state.fsw = (this.state.fsw & ~(FSW_ES | FSW_B)) | summary;
  }

  loadFcw(value: number): void {
    this.state.fcw = (value & FCW_WRITABLE) | FCW_FIXED;
    this.updateSummary();
  }

  /**
   * Report the flags of the operation just done for a register destination, C1 = rounded up.
   * @returns whether the result is to be written: not after an unmasked IE, DE or ZE.
   */
  commit(): boolean {
    const { env, state } = this;
    let flags = env.flags;
    let up = env.roundedUp;
    const stopped = (flags & FLAGS_PRE & ~env.masks) !== 0;
    if (stopped) {
      flags &= ~FLAGS_POST;
      up = false;
    }
    state.fsw = (state.fsw & ~FSW_C1) | flags | (up ? FSW_C1 : 0);
    this.updateSummary();
    return !stopped;
  }

  /** The same for a memory destination, which unmasked overflow and underflow leave unwritten, without PE. */
  commitStore(): boolean {
    const { env } = this;
    if (env.flags & ~env.masks & (FLAG_OVERFLOW | FLAG_UNDERFLOW)) {
      env.flags &= FLAGS_PRE | FLAG_OVERFLOW | FLAG_UNDERFLOW;
      env.roundedUp = false;
      this.commit();
      return false;
    }
    return this.commit();
  }

  /**
   * Stack fault: IE and SF, C1 = 1 for overflow and 0 for underflow.
   * @returns whether the masked response (default NaN, pops) follows.
   */
  stackFault(isOverflow: boolean): boolean {
    this.state.fsw = (this.state.fsw & ~FSW_C1) | FLAG_INVALID | FSW_SF | (isOverflow ? FSW_C1 : 0);
    this.updateSummary();
    return this.env.masked(FLAG_INVALID);
  }

  /**
   * Push with the overflow check: the masked response pushes the default NaN.
   * @param despite flags that do not stop the push even if they are not masked
   */
  pushChecked(value: () => bigint, despite = 0): void {
    if (!this.isEmpty(7)) {
      if (this.stackFault(true)) this.push(F80.defaultNaN);
      return;
    }
    const result = value();
    const stopped = !this.commit() && (this.env.flags & ~despite & FLAGS_PRE & ~this.env.masks) !== 0;
    if (!stopped) this.push(result);
  }
}
