/**
 * How a vcpu came to where it is, from its registers and its stack:
 *
 *     1. by the kernel's own ORC tables, if it is a Linux kernel that has them: exact
 *     2. by the chain of frame pointers, as far as it holds: exact but for functions without a frame
 *     3. by everything on the stack that is behind a call instruction: may hold leftovers of earlier calls
 */
import { Decoder, FlowControl } from 'iced-x86';
import type { ReadLinear } from './linear-reader.ts';
import { OrcTables, ORC_REGISTERS, type OrcState } from './orc.ts';
import type { SymbolTable } from './symbol-table.ts';

export interface Frame {
  readonly address: bigint;
  /** `function+0x12`, if there is a name. */
  readonly symbol: string | undefined;
  readonly by: 'rip' | 'orc' | 'frame-pointer' | 'scan';
}

/** What is known of the vcpu. */
export interface UnwindState {
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly rbp: bigint;
  readonly r10: bigint;
  readonly r13: bigint;
  readonly rdi: bigint;
  readonly rdx: bigint;
  readonly bits: 16 | 32 | 64;
  /** In user mode the kernel's names and tables do not count. */
  readonly user: boolean;
}

/** A kernel stack is 16 KiB; others are scanned as far. */
const STACK_BYTES = 16384n;
/** Frames of one chain lie within this. */
const MAX_FRAME_BYTES = 65536n;
const LONGEST_CALL = 8;

/** @param depth frames at most */
export function unwind(
  state: UnwindState,
  read: ReadLinear,
  symbols: SymbolTable | undefined,
  depth = 32,
): readonly Frame[] {
  const names = state.user ? undefined : symbols;
  const stack = new Stack(state, read, names);
  const first: Frame = { address: state.rip, symbol: names?.name(state.rip), by: 'rip' };
  const callers =
    (names?.source === 'kallsyms' ? byOrc(state, read, names, depth - 1) : undefined) ??
    stack.byFramePointers(depth - 1) ??
    stack.byScan(depth - 1);
  return [first, ...callers];
}

/** @returns undefined if the tables do not lead to at least one caller */
function byOrc(start: UnwindState, read: ReadLinear, symbols: SymbolTable, depth: number): Frame[] | undefined {
  const tables = OrcTables.of(symbols, read);
  if (!tables) return undefined;
  const registers = new Map<number, bigint>([
    [ORC_REGISTERS.R10, start.r10],
    [ORC_REGISTERS.R13, start.r13],
    [ORC_REGISTERS.DI, start.rdi],
    [ORC_REGISTERS.DX, start.rdx],
  ]);
  let state: OrcState = {
    ip: start.rip,
    sp: start.rsp,
    bp: start.rbp,
    interrupted: true,
    register: (offset) => registers.get(offset),
  };
  const frames: Frame[] = [];
  while (frames.length < depth) {
    const next = tables.caller(state);
    if (next === 'end') return frames;
    if (next === undefined || !symbols.isCode(next.ip)) break;
    frames.push({ address: next.ip, symbol: symbols.name(next.ip), by: 'orc' });
    state = next;
  }
  return frames.length > 0 ? frames : undefined;
}

class Stack {
  readonly #state: UnwindState;
  readonly #read: ReadLinear;
  readonly #symbols: SymbolTable | undefined;
  readonly #width: number;

  constructor(state: UnwindState, read: ReadLinear, symbols: SymbolTable | undefined) {
    this.#state = state;
    this.#read = read;
    this.#symbols = symbols;
    this.#width = state.bits / 8;
  }

  /** @returns undefined if RBP is no frame pointer */
  byFramePointers(depth: number): Frame[] | undefined {
    const { rip, rsp, rbp } = this.#state;
    const width = BigInt(this.#width);
    const frames: Frame[] = [];
    // At the very first instruction of a function there is no frame of its own yet.
    if (this.#symbols?.find(rip)?.offset === 0n) {
      const back = this.#word(rsp);
      if (back !== undefined && this.#isReturn(back)) frames.push(this.#frame(back, 'frame-pointer'));
    }
    const before = frames.length;
    for (let frame = rbp; frames.length < depth && frame >= rsp && frame - rsp < MAX_FRAME_BYTES; ) {
      const next = this.#word(frame);
      const back = this.#word(frame + width);
      if (next === undefined || back === undefined || !this.#isReturn(back)) break;
      frames.push(this.#frame(back, 'frame-pointer'));
      if (next <= frame) break;
      frame = next;
    }
    return frames.length > before ? frames : undefined;
  }

  byScan(depth: number): Frame[] {
    const { rsp } = this.#state;
    const frames: Frame[] = [];
    const end = (rsp / STACK_BYTES + 1n) * STACK_BYTES;
    for (let at = rsp; at < end && frames.length < depth; at += BigInt(this.#width)) {
      const back = this.#word(at);
      if (back === undefined) break;
      if (this.#isReturn(back)) frames.push(this.#frame(back, 'scan'));
    }
    return frames;
  }

  #frame(address: bigint, by: Frame['by']): Frame {
    return { address, symbol: this.#symbols?.name(address), by };
  }

  #word(at: bigint): bigint | undefined {
    const bytes = this.#read(BigInt.asUintN(64, at), this.#width);
    if (!bytes) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.#width === 8) return view.getBigUint64(0, true);
    return BigInt(this.#width === 4 ? view.getUint32(0, true) : view.getUint16(0, true));
  }

  /** True if `address` is named code, as far as there are names, right behind a call instruction. */
  #isReturn(address: bigint): boolean {
    if (this.#symbols && !this.#symbols.isCode(address)) return false;
    if (address < BigInt(LONGEST_CALL)) return false;
    const bytes = this.#read(address - BigInt(LONGEST_CALL), LONGEST_CALL);
    return bytes !== undefined && endsInCall(bytes, this.#state.bits);
  }
}

/** True if some call instruction ends where `bytes` end. */
export function endsInCall(bytes: Uint8Array, bits: 16 | 32 | 64): boolean {
  for (let length = 2; length <= Math.min(LONGEST_CALL, bytes.length); length++) {
    const decoder = new Decoder(bits, bytes.subarray(bytes.length - length), 0);
    const instruction = decoder.decode();
    const { flowControl } = instruction;
    const call = flowControl === FlowControl.Call || flowControl === FlowControl.IndirectCall;
    const fits = instruction.length === length;
    instruction.free();
    decoder.free();
    if (call && fits) return true;
  }
  return false;
}
