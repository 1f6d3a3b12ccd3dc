/** Runs one recorded x87 vector against the unit; the dispatcher around it is this test's own. */
import { executeX87, PlainX87State, type X87Op, x87Lookup, X87Unit } from '../../../src/cpu/x87/index.ts';
import type { Operands, Vector, X87Image } from '../softfloat/vectors.ts';
import { decode, memoryAfter, memoryBytes } from '../softfloat/vectors.ts';

export interface Verdict {
  /** What differs, or undefined. */
  problem?: string;
  /** For approximate results: distance in units in the last place of the worst register. */
  ulps: number;
}

const STATUS = 0x8d5;

/** Where the recorded run stood when the memory operand faulted: the address is not mapped. */
function mapped(address: bigint, length: number): boolean {
  return address >= 0x20000000n && address + BigInt(length) <= 0x20001000n;
}

function load(image: X87Image | undefined): PlainX87State {
  const state = new PlainX87State();
  state.fcw = Number(image?.fcw ?? '0x37f');
  state.fsw = Number(image?.fsw ?? '0x0');
  state.ftw = Number(image?.ftw ?? '0x0');
  for (const [p, text] of Object.entries(image?.r ?? {})) state.registers[Number(p)] = BigInt(`0x${text}`);
  return state;
}

interface Run {
  vector: number | null;
  state: PlainX87State;
  eflags: number;
  ax?: number;
  stored?: { address: bigint; bytes: Uint8Array };
}

function run(vector: Vector, op: X87Op | undefined, o: Operands): Run {
  const state = load(vector.in.x87);
  const unit = new X87Unit(state);
  unit.eflags = Number(vector.in.regs.rflags);
  const result: Run = { vector: null, state, eflags: unit.eflags };
  if (!op) return { ...result, vector: 6 };
  if (op.waits && unit.pending) return { ...result, vector: 16 };
  unit.environment16 = o.prefix === 0x66;
  const length = unit.environment16 ? op.bytes16 : op.bytes;
  // Addressing faults come before anything the instruction itself finds, stores included.
  const isMemory = op.access === 'read' || op.access === 'write';
  if (isMemory && !mapped(o.address, length)) return { ...result, vector: 14 };
  if (op.access === 'read') unit.bytes.set(memoryBytes(vector, o.address, length));
  const store = executeX87(unit, op, o.modrm & 7);
  result.eflags = unit.eflags;
  if (store && op.access === 'ax') result.ax = unit.operand.getUint16(0, true);
  if (store && op.access === 'write') result.stored = { address: o.address, bytes: unit.bytes.slice(0, length) };
  return result;
}

/** Distance of two f80 numbers in units of the last place, or infinity when that has no meaning. */
function ulpDistance(a: bigint, b: bigint): number {
  if (a === b) return 0;
  const signedOrder = (x: bigint) => {
    const magnitude = x & ((1n << 79n) - 1n);
    const compact = ((magnitude >> 64n) << 63n) + (magnitude & 0x7fffffffffffffffn);
    return x >> 79n ? -compact : compact;
  };
  const special = (x: bigint) => ((x >> 64n) & 0x7fffn) === 0x7fffn;
  if (special(a) || special(b)) return Number.POSITIVE_INFINITY;
  const distance = signedOrder(a) - signedOrder(b);
  return Number(distance < 0n ? -distance : distance);
}

/** Compare one vector; `ulps` tells how far off approximate results are. */
export function runX87Vector(vector: Vector): Verdict {
  const wanted = vector.exception?.vector ?? null;
  const fwait = vector.bytes.endsWith('9b');
  // An instruction cut off by the end of its page faults in the fetch.
  if (vector.exception?.error === '0x14') return { ulps: 0 };
  const o = fwait ? undefined : decode(vector);
  if (o && (o.opcode & 0xf8) !== 0xd8) throw new Error(`${vector.id}: opcode ${o.opcode.toString(16)} is not x87`);
  if (!o) {
    const unit = new X87Unit(load(vector.in.x87));
    const got = unit.pending ? 16 : null;
    return { ulps: 0, problem: got === wanted ? undefined : `${vector.id} fwait: exception ${got} want ${wanted}` };
  }
  const op = x87Lookup(o.opcode, o.modrm);
  const result = run(vector, op, o);
  // #SS and #GP (non-canonical) come from addressing, which this dispatcher does not model apart from "not mapped".
  const faulted = result.vector === 14 && (wanted === 12 || wanted === 13);
  const problems: string[] = [];
  if (result.vector !== wanted && !faulted) problems.push(`exception ${result.vector} want ${wanted}`);
  const ulps = compareState(vector, result, problems);
  compareMemory(vector, o, op!, result, problems);
  const wantFlags = Number(vector.out.regs?.rflags ?? vector.in.regs.rflags) & STATUS;
  if ((result.eflags & STATUS) !== wantFlags) problems.push(`eflags ${(result.eflags & STATUS).toString(16)}`);
  const where = `${vector.id} ${vector.form} ${vector.bytes} fcw=${vector.in.x87?.fcw} fsw=${vector.in.x87?.fsw}`;
  return { ulps, problem: problems.length ? `${where}: ${problems.join('; ')}` : undefined };
}

function compareState(vector: Vector, result: Run, problems: string[]): number {
  const { state } = result;
  const word = (name: 'fcw' | 'fsw' | 'ftw', fallback: string) =>
    Number(vector.out.x87?.[name] ?? vector.in.x87?.[name] ?? fallback);
  const check = (name: string, got: number, want: number) => {
    if (got !== want) problems.push(`${name} ${got.toString(16)} want ${want.toString(16)}`);
  };
  let worst = 0;
  for (let p = 0; p < 8; p++) {
    const want = BigInt(`0x${vector.out.x87?.r?.[p] ?? vector.in.x87?.r?.[p] ?? '0'}`);
    if (state.registers[p] === want) continue;
    const distance = vector.approx ? ulpDistance(state.registers[p], want) : Number.POSITIVE_INFINITY;
    worst = Math.max(worst, distance);
    if (distance > 1) {
      problems.push(
        `r${p} ${state.registers[p].toString(16).padStart(20, '0')} want ${want.toString(16).padStart(20, '0')}`,
      );
    }
  }
  // C1 of an inexact approximate result says on which side of the truth this CPU's own approximation lay.
  const inexact = vector.approx && (state.fsw & 0x20) !== 0;
  const ignored = Number(vector.undefinedFsw ?? '0x0') | (inexact ? 0x200 : 0);
  check('fcw', state.fcw, word('fcw', '0x37f'));
  check('fsw', state.fsw & ~ignored, word('fsw', '0x0') & ~ignored);
  check('ftw', state.ftw, word('ftw', '0x0'));
  return worst;
}

function compareMemory(vector: Vector, o: Operands, op: X87Op, result: Run, problems: string[]): void {
  if (op.access === 'ax') {
    const want = Number(BigInt(vector.out.regs?.rax ?? vector.in.regs.rax) & 0xffffn);
    if (result.vector === null && result.ax !== want)
      problems.push(`ax ${result.ax?.toString(16)} want ${want.toString(16)}`);
    return;
  }
  if (op.access !== 'write' || vector.exception) return;
  const length = o.prefix === 0x66 ? op.bytes16 : op.bytes;
  const got = result.stored?.bytes ?? memoryBytes(vector, o.address, length);
  const want = memoryAfter(vector, o.address, length);
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  if (hex(got) !== hex(want)) problems.push(`memory ${hex(got)} want ${hex(want)}`);
}
