/** Runs one recorded SSE, AVX, FMA or F16C floating-point vector against the exact arithmetic. */
import type { FloatFormat, FmaOrder } from '../../../src/cpu/softfloat/index.ts';
import { approximateReciprocal, F32, F64, lane, SseUnit } from '../../../src/cpu/softfloat/index.ts';
import type { Operands, Vector } from './vectors.ts';
import { decode, memoryAfter, littleEndian, readMemory } from './vectors.ts';

const unit = new SseUnit();

interface Shape {
  name: string;
  format: FloatFormat;
  lanes: number;
  scalar: boolean;
  bits: number;
}

interface Outcome {
  /** Bits the instruction writes to its vector destination (undefined: none). */
  value?: bigint;
  /** How many low bits of the destination it writes. */
  width?: number;
  eflags?: number;
  gpr?: bigint;
}

/** True for forms this runner understands. */
export function understands(form: string): boolean {
  return plan(form) !== undefined;
}

function plan(form: string): { name: string; bits: number } | undefined {
  const [full, length] = form.split('/');
  const name = full.replace(/^v/, '');
  const known =
    /^(add|sub|mul|div|min|max|sqrt|cmp|round|dp|addsub|hadd|hsub|rcp|rsqrt)(ps|pd|ss|sd)$/.test(name) ||
    /^u?comis[sd]$/.test(name) ||
    /^cvt/.test(name) ||
    /^fn?m(add|sub|addsub|subadd)(132|213|231)(ps|pd|ss|sd)$/.test(name);
  return known ? { name, bits: Number(length ?? 128) } : undefined;
}

/** Undefined when the vector agrees or does not apply (faults that are not #XM), else what differs. */
export function runSseVector(vector: Vector): string | undefined {
  const { name, bits } = plan(vector.form)!;
  if (vector.exception && vector.exception.vector !== 19) return undefined;
  const hasImmediate = /^(cmp|round|dp)|ps2ph/.test(name);
  const o = decode(vector, hasImmediate ? 1 : 0);
  if (!o.vex && vector.in.ymm && bits === 256) throw new Error('unexpected form');
  const before = Number(vector.in.mxcsr ?? '0x1f80');
  unit.begin(before);
  const outcome = execute(vector, name, bits, o);
  const flags = unit.finish();
  const after = before | flags;
  const wantMxcsr = Number(vector.out.mxcsr ?? vector.in.mxcsr ?? '0x1f80');
  const problems: string[] = [];
  if (after !== wantMxcsr) problems.push(`mxcsr ${after.toString(16)} want ${wantMxcsr.toString(16)}`);
  if (unit.fault !== (vector.exception !== null)) problems.push(`fault ${unit.fault}`);
  if (!vector.exception) problems.push(...compareResult(vector, o, outcome));
  return problems.length ? `${vector.id} ${vector.form} ${vector.bytes}: ${problems.join('; ')}` : undefined;
}

function vectorRegister(state: Partial<Vector['in']>, n: number): bigint | undefined {
  const text = state.ymm?.[n] ?? state.xmm?.[n];
  return text === undefined ? undefined : BigInt(`0x${text}`);
}

function compareResult(vector: Vector, o: Operands, outcome: Outcome): string[] {
  if (outcome.eflags !== undefined) {
    const want = Number(vector.out.regs?.rflags ?? vector.in.regs.rflags) & 0x8d5;
    return outcome.eflags === want ? [] : [`eflags ${outcome.eflags.toString(16)} want ${want.toString(16)}`];
  }
  if (outcome.gpr !== undefined) {
    const reg = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ')[o.reg];
    const want = BigInt(vector.out.regs?.[reg] ?? vector.in.regs[reg]);
    return outcome.gpr === want ? [] : [`${reg} ${outcome.gpr.toString(16)} want ${want.toString(16)}`];
  }
  const width = outcome.width!;
  const got = BigInt.asUintN(width, outcome.value!);
  let want: bigint;
  if (/2pi$/.test(vector.form)) {
    const text = vector.out.x87?.r?.[o.reg & 7] ?? vector.in.x87?.r?.[o.reg & 7] ?? '0';
    want = BigInt.asUintN(64, BigInt(`0x${text}`));
  } else if (/ps2ph/.test(vector.form)) {
    if (o.rm < 0) want = littleEndian(memoryAfter(vector, o.address, width / 8));
    else want = BigInt.asUintN(width, destination(vector, o.rm));
  } else {
    want = BigInt.asUintN(width, destination(vector, o.reg));
  }
  if (vector.approx) return closeEnough(got, want, width) ? [] : [`~${got.toString(16)} want ${want.toString(16)}`];
  return got === want ? [] : [`${got.toString(16)} want ${want.toString(16)}`];
}

function destination(vector: Vector, n: number): bigint {
  return vectorRegister(vector.out, n) ?? vectorRegister(vector.in, n) ?? 0n;
}

const float = new DataView(new ArrayBuffer(4));
function single(bits: bigint): number {
  float.setUint32(0, Number(bits));
  return float.getFloat32(0);
}

/** RCP and RSQRT: both lie within 1.5 * 2^-12 of the truth, so within twice that of one another. */
function closeEnough(a: bigint, b: bigint, width: number): boolean {
  for (let i = 0; i < width / 32; i++) {
    const x = lane(a, 32, i);
    const y = lane(b, 32, i);
    if (x !== y && !(Math.abs(single(x) - single(y)) <= Math.abs(single(y)) * 3 * 2 ** -12)) return false;
  }
  return true;
}

function execute(vector: Vector, name: string, bits: number, o: Operands): Outcome {
  const reg = (n: number) => vectorRegister(vector.in, n) ?? 0n;
  if (name.startsWith('cvt')) return executeConvert(vector, name, bits, o, reg);
  const suffix = name.slice(-2);
  const format = suffix[1] === 's' ? F32 : F64;
  const scalar = suffix[0] === 's';
  const width = scalar ? format.width : bits;
  const shape: Shape = { name: name.slice(0, -2), format, lanes: width / format.width, scalar, bits };
  const source = o.rm >= 0 ? reg(o.rm) : readMemory(vector, o.address, width / 8);
  if (/^u?comi/.test(name)) {
    return {
      eflags: unit.compareFlags(
        format,
        lane(reg(o.reg), format.width, 0),
        lane(source, format.width, 0),
        name[0] === 'u',
      ),
    };
  }
  const first = o.vex ? reg(o.vvvv) : reg(o.reg);
  return { value: arithmetic(shape, first, source, o, reg(o.reg)), width };
}

function arithmetic(s: Shape, a: bigint, b: bigint, o: Operands, dest: bigint): bigint {
  const { name, format, lanes } = s;
  if (/^(add|sub|mul|div|min|max)$/.test(name)) return unit.packed(name as 'add', format, lanes, a, b);
  if (name === 'sqrt') return unit.packedSqrt(format, lanes, b);
  if (name === 'addsub') return unit.addSub(format, lanes, a, b);
  if (name === 'hadd' || name === 'hsub') return unit.horizontal(name === 'hadd' ? 'add' : 'sub', format, lanes, a, b);
  if (name === 'cmp') return unit.compareMask(format, lanes, a, b, o.imm & (o.vex ? 31 : 7));
  if (name === 'round') return unit.round(format, lanes, b, o.imm);
  if (name === 'dp') return unit.dotProduct(format, lanes, a, b, o.imm);
  if (name === 'rcp' || name === 'rsqrt') {
    return unit.map(32, lanes, (i) => approximateReciprocal(lane(b, 32, i), name === 'rsqrt'));
  }
  const m = /^f(n?)m(add|sub|addsub|subadd)(132|213|231)$/.exec(name)!;
  const order = Number(m[3]) as FmaOrder;
  return unit.map(format.width, lanes, (i) => {
    const subtract = m[2] === 'sub' || (m[2] === 'addsub' && !(i & 1)) || (m[2] === 'subadd' && (i & 1) === 1);
    const signs = { negateProduct: m[1] === 'n', negateAddend: subtract };
    const [x, y, z] = [dest, a, b].map((v) => lane(v, format.width, i));
    return unit.fma(format, order, signs, x, y, z);
  });
}

function executeConvert(vector: Vector, name: string, bits: number, o: Operands, reg: (n: number) => bigint): Outcome {
  const read = (size: number) => (o.rm >= 0 ? reg(o.rm) : readMemory(vector, o.address, size));
  const m = /^cvt(t?)(ps|pd|ss|sd|dq|pi|si|ph)2(ps|pd|ss|sd|dq|pi|si|ph)(?:_(32|64))?$/.exec(name);
  if (!m) throw new Error(`runner: ${name}`);
  const [, t, from, to, w] = m;
  const fmt = (kind: string) => (kind[1] === 's' ? F32 : F64);
  const truncate = t === 't';
  const mmx = from === 'pi' || to === 'pi';
  const lanes = from[0] === 's' || to[0] === 's' ? 1 : mmx ? 2 : Math.min(bits / laneBits(from), bits / laneBits(to));
  if (from === 'ph') return { value: unit.convertFromHalf(bits / 32, read(bits / 16)), width: bits };
  if (to === 'ph') return { value: unit.convertToHalf(bits / 32, reg(o.reg), o.imm), width: bits / 2 };
  if (from === 'si') {
    const width = Number(w) as 32 | 64;
    const gpr = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ')[o.rm];
    const value = o.rm >= 0 ? BigInt(vector.in.regs[gpr]) : readMemory(vector, o.address, width / 8);
    return { value: unit.fromIntegers(width, fmt(to), 1, value), width: fmt(to).width };
  }
  if (to === 'si') {
    return { gpr: unit.toIntegers(fmt(from), Number(w) as 32 | 64, 1, read(fmt(from).width / 8), truncate) };
  }
  if (from === 'pi') {
    const mm = BigInt(`0x${vector.in.x87?.r?.[o.rm & 7] ?? '0'}`);
    const value = o.rm >= 0 ? BigInt.asUintN(64, mm) : readMemory(vector, o.address, 8);
    return { value: unit.fromIntegers(32, fmt(to), 2, value), width: fmt(to).width * 2 };
  }
  if (from === 'dq') {
    const value = unit.fromIntegers(32, fmt(to), lanes, read(lanes * 4));
    return { value, width: fmt(to).width * lanes };
  }
  const source = read((fmt(from).width * lanes) / 8);
  if (to === 'dq' || to === 'pi') {
    // A narrower result clears the rest of the 128 bits.
    return {
      value: unit.toIntegers(fmt(from), 32, lanes, source, truncate),
      width: to === 'pi' ? 64 : lanes <= 4 ? 128 : 256,
    };
  }
  const scalar = from[0] === 's';
  const width = scalar ? fmt(to).width : Math.max(128, lanes * fmt(to).width);
  return { value: unit.convertFloat(fmt(from), fmt(to), lanes, source), width };
}

function laneBits(kind: string): number {
  return kind === 'pd' ? 64 : 32;
}
