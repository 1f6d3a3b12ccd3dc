/**
 * How quickly each instruction executes: a loop full of it on a bare engine, for `npm run profile -- instructions`.
 * What the interpreter has no generated code for, or whose generated code gives up, shows by its rate.
 */
import type { Ticks } from '../src/base/ticks.ts';
import * as L from '../src/cpu/layout.ts';
import { CR0, CR4, REG } from '../src/cpu/state.ts';
import { startLong64 } from '../src/cpu/system/index.ts';
import { BareMachine } from '../test/support/bare-machine.ts';
import { hostTime, since } from './timer.ts';

/**
 * Groups, and in them: what is measured, instructions of the sequence, its machine code. RSI points to DATA; XMM0..3 and 14, 15
 * hold doubles, 4..7 singles, 8..13 integers; ST(0) and ST(1) hold numbers that need all 64 bits.
 */
const SEQUENCES = `
integer
  add rax, m64           1  480306
  imul r64               1  480fafc3
  mul r64                1  48f7e3
  div r32                2  31d241f7f0
  popcnt                 1  f3480fb8c3
  bsf                    1  480fbcc3
  bt m64, r64            1  4c0fa30e
  xadd m64               1  480fc14640
  lock cmpxchg m64       1  f0480fb15e40
  bswap                  1  480fc8
  movbe                  1  480f38f006
  pdep                   1  c4c2e3f5c0
  mulx                   1  c4e2ebf6c3
  adcx                   1  66480f38f6c3
  crc32 r64              1  f2480f38f1c3
  shld                   1  480fa4d805
sse
  movaps m128            1  0f2806
  addsd                  1  f20f58c1
  addsd m64              1  f20f5806
  mulsd                  2  0f28c2f20f59c3
  divsd                  2  0f28c2f20f5ec3
  sqrtsd                 1  f20f51c2
  minsd                  1  f20f5dc1
  addss                  1  f30f58e5
  mulss                  2  0f28e6f30f59e7
  addps                  1  0f58e5
  divps                  2  0f28e60f5ee7
  addpd                  1  660f58c1
  haddpd                 2  0f28c1660f7cc2
  haddps                 2  0f28e5f20f7ce6
  addsubpd               2  0f28c1660fd0c2
  dpps                   2  0f28e5660f3a40e6ff
  dppd                   2  0f28c1660f3a41c231
  cmpsd                  2  0f28c1f20fc2c201
  ucomisd                1  660f2eca
  comiss                 1  0f2fee
  cvtsi2sd r32           1  f20f2ac0
  cvtsi2sd r64           1  f2480f2ac0
  cvttsd2si r32          1  f20f2cc1
  cvttsd2si r64          1  f2480f2cc2
  cvtsd2si r32           1  f20f2dc2
  cvtss2sd               1  f30f5ac5
  cvtsd2ss               1  f20f5ae2
  cvtps2pd               1  0f5ac5
  cvtpd2ps               1  660f5ae2
  cvtdq2pd               1  f3410fe6c0
  cvttpd2dq              1  660fe6c2
  cvtpd2dq               1  f20fe6c2
  cvttps2dq              1  f30f5bc6
  roundsd                1  660f3a0bc209
  rcpps                  1  0f53c6
  rsqrtss                1  f30f52c6
  ldmxcsr                1  0fae5660
  stmxcsr                1  0fae5e64
  pshufb                 1  66450f3800c8
  pmovmskb               1  66410fd7c0
  pmaddwd                1  66450ff5c8
  ptest                  1  66450f3817c1
  palignr                1  66450f3a0fc803
  pcmpistri              1  66450f3a63c21a
  pcmpestri              3  b810000000ba1000000066450f3a61c218
  pcmpistrm              1  66450f3a62c240
  aesenc                 1  66450f38dcc8
  aeskeygenassist        1  66450f3adfc801
  pclmulqdq              1  66450f3a44c811
  sha256rnds2            1  450f38cbc8
  mpsadbw                1  66450f3a42c801
  gf2p8mulb              1  66450f38cfc8
avx
  vmovdqu ymm, m256      1  c57e6f0e
  vmovdqu m256, ymm      1  c57e7f8680000000
  vpcmpeqb               1  c53d740e
  vpmovmskb              1  c4c17dd7c0
  vpminub                1  c4413ddaca
  vzeroupper             1  c5f877
  vaddsd                 1  c5f358c2
  vmulsd                 1  c5eb59c3
  vdivsd                 1  c5eb5ec3
  vsqrtsd                1  c5eb51c2
  vaddpd ymm             1  c5f558c2
  vmulps ymm             1  c5cc59e7
  vhaddpd ymm            1  c5f57cc2
  vcmppd ymm             1  c5f5c2c211
  vminsd                 1  c5f35dc2
  vucomisd               1  c5f92eca
  vcvtsi2sd              1  c4e1f32ac0
  vcvttsd2si             1  c4e1fb2cc2
  vcvtss2sd              1  c5f25ac5
  vcvtdq2ps ymm          1  c4c17c5bc0
  vroundsd               1  c4e3710bc209
  vfmadd231sd            1  c4c289b9c7
  vfmadd213pd ymm        2  c5fd28c1c4e2eda8c3
  vfmadd213ps ymm        2  c5fc28e5c4e24da8e7
  vfmadd213ss            2  c5f828e5c4e249a9e7
  vcvtph2ps              1  c4c27d13e3
  vcvtps2ph              1  c4c37d1df100
  vgatherdpd             2  c4413576c9c4a2b59204ee
  vpmaskmovd             1  c4623d8c0e
  vpdpbusd               1  c4423d50ca
  vaesenc ymm            1  c4423ddcca
x87
  fld m64; fstp st(0)    2  dd4610ddd8
  fld m32; fstp m32      2  d94630d95e50
  fld m64; fstp m64      2  dd4610dd5e50
  fld m80; fstp m80      2  dbaed0000000dbbee0000000
  fild m32; fistp m32    2  db4668db5e50
  fild m64; fistp m64    2  df6e70df7e50
  fxch                   1  d9c9
  fadd st, st(i)         3  d9c0d8c2ddd8
  fadd m64               3  d9c0dc4610ddd8
  fmul st, st(i)         3  d9c0d8caddd8
  fdiv st, st(i)         3  d9c0d8f2ddd8
  fsqrt                  3  d9c0d9faddd8
  fcomi                  1  dbf1
  fcom; fnstsw ax        2  d8d1dfe0
  fchs                   1  d9e0
  fabs                   1  d9e1
  fldz                   2  d9eeddd8
  fldcw                  1  d96e74
  fnstcw                 1  d97e76
  frndint                3  d9c0d9fcddd8
  fprem                  3  d9c0d9f8ddd8
  fsin                   3  d9c0d9feddd8
  a*b+c, m64 to m64      4  dd4610dc4e18dc4620dd5e50
`;

export interface Sequence {
  readonly group: string;
  readonly name: string;
  readonly instructions: number;
  readonly code: Uint8Array;
}

export interface Speed extends Sequence {
  /** Million instructions a second of processor time; the loop's own two count as well. */
  readonly rate: number;
}

export function sequences(): Sequence[] {
  const found: Sequence[] = [];
  let group = '';
  for (const line of SEQUENCES.trim().split('\n')) {
    const m = /^ {2}(\S.*?) {2,}(\d+) {2}([0-9a-f]+)$/.exec(line);
    if (m === null) group = line.trim();
    else found.push({ group, name: m[1]!, instructions: Number(m[2]), code: Buffer.from(m[3]!, 'hex') });
  }
  return found;
}

const CODE_GFN = 16;
const DATA_GFN = 20;
const PAGES = 32;
/** Copies of a sequence in the loop: enough that the loop's two instructions hardly count. */
const COPIES = 20;

/** DEC ECX; JNZ back over `body` bytes. */
function loopEnd(body: number): number[] {
  const back = -(body + 2 + 6);
  return [0xff, 0xc9, 0x0f, 0x85, back & 255, (back >> 8) & 255, (back >> 16) & 255, (back >> 24) & 255];
}

function put(m: BareMachine, gfn: number, index: number, value: number): void {
  const view = new DataView(m.engine.memory.buffer, m.engine.frames.linear(m.p2m.mfn(gfn)) + index * 8, 8);
  view.setBigUint64(0, BigInt(value), true);
}

/** Data for loads, in the order of the offsets that SEQUENCES uses. */
function fillData(view: DataView): void {
  [1.7320508, 2.2360679, 1.3142135, 0.1, 3.3415926, 1e-3].forEach((x, i) => {
    view.setFloat64(i * 8, x, true);
  });
  view.setFloat32(48, 1.1, true);
  view.setUint32(96, 0x1fa0, true);
  view.setInt32(104, 123457, true);
  view.setBigInt64(112, 0x37f_037f_037f_037fn, true);
  view.setBigUint64(208, 0xc90fdaa22168c235n, true);
  view.setUint16(216, 0x4000, true);
}

function fillRegisters(m: BareMachine): void {
  const { state: s } = m.engine;
  s.setReg(REG.RSI, BigInt(DATA_GFN << 12));
  s.setReg(REG.RAX, 0x12345678n);
  s.setReg(REG.RBX, 0x9e3779b97f4a7c15n);
  s.setReg(REG.R8, 0x0f0f0f0fn);
  s.setReg(9, 77n);
  const view = new DataView(m.engine.memory.buffer);
  for (let n = 0; n < 16; n++) {
    for (let i = 0; i < 4; i++) {
      const at = L.YMM + 32 * n + 8 * i;
      if (n < 4 || n > 13) view.setFloat64(at, 1 + n / 7 + i / 3, true);
      else if (n < 8) for (const h of [0, 4]) view.setFloat32(at + h, 1 + n / 7 + i / 3 + h, true);
      else view.setBigUint64(at, BigInt.asUintN(64, 0x6162636465666768n * BigInt(n + i)), true);
    }
  }
  for (const half of [0, 8]) s.set64(L.YMM + 32 * 13 + half, 1n);
  // A term that leaves sums within the normal numbers for the whole loop.
  view.setFloat64(L.YMM + 32 * 15, 1e-9, true);
  s.set32(L.MXCSR, 0x1fa0);
  s.u16[L.X87_FCW >> 1] = 0x37f;
  s.u8[L.X87_FTW] = 3;
  s.set64(L.X87_REGISTERS, 0xc90fdaa22168c235n);
  s.set64(L.X87_REGISTERS + 8, 0x4000n);
  s.set64(L.X87_REGISTERS + 16, 0xb17217f7d1cf79acn);
  s.set64(L.X87_REGISTERS + 24, 0x3ffen);
}

function machineFor(sequence: Sequence): BareMachine {
  const m = new BareMachine(PAGES);
  put(m, 1, 0, (2 << 12) | 7);
  put(m, 2, 0, (3 << 12) | 7);
  put(m, 3, 0, (4 << 12) | 7);
  for (let gfn = 0; gfn < PAGES; gfn++) put(m, 4, gfn, (gfn << 12) | 7);
  const { state: s } = m.engine;
  startLong64(s, BigInt(CODE_GFN << 12), 0x1000n);
  s.set64(L.CR0, s.get64(L.CR0) | BigInt(CR0.NE | CR0.MP));
  s.set64(L.CR4, s.get64(L.CR4) | BigInt(CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE));
  s.set64(L.XCR0, 7n);
  m.engine.processor.modeChanged();
  const body = Array.from({ length: COPIES }, () => [...sequence.code]).flat();
  m.memory.write(CODE_GFN << 12, new Uint8Array([...body, ...loopEnd(body.length)]));
  const data = new Uint8Array(4096);
  fillData(new DataView(data.buffer));
  m.memory.write(DATA_GFN << 12, data);
  fillRegisters(m);
  s.setReg32(REG.RCX, 0x7fffffff);
  return m;
}

/** Runs `sequence` for about `seconds` of processor time after as much again to warm up. */
export function speedOf(sequence: Sequence, seconds: number): Speed {
  const m = machineFor(sequence);
  let step = 10_000;
  let rate = 0;
  for (const want of [seconds, seconds]) {
    const start = hostTime();
    let done = 0;
    let spent = 0;
    while (spent < want) {
      done += m.engine.run(m.now as Ticks, step);
      spent = since(start).cpuSeconds;
      if (m.exitLog.length > 0) throw new Error(`${sequence.name}: ${m.exitLog[0]}`);
      if (spent < want / 50) step = Math.min(step * 2, 1 << 22);
    }
    rate = done / spent / 1e6;
  }
  return { ...sequence, rate };
}

export function speedTable(speeds: readonly Speed[]): string[] {
  const lines = ['  M instr/s   sequence', ''];
  let group = '';
  for (const { group: g, name, rate } of speeds) {
    if (g !== group) lines.push(g);
    group = g;
    lines.push(`  ${(rate < 10 ? rate.toFixed(1) : rate.toFixed(0)).padStart(9)}   ${name}`);
  }
  return lines;
}
