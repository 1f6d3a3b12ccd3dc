/** The way in from the engine, over a flat memory without paging. */
import { beforeEach, expect, test } from 'vitest';
import type { ProcessorContext } from '../../../src/cpu/context.ts';
import { Decoder, Instruction } from '../../../src/cpu/decoder.ts';
import { FAULT, VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CpuState } from '../../../src/cpu/state.ts';
import { x87InstructionFor } from '../../../src/cpu/x87/index.ts';

const MEMORY = 0x4000;
let s: CpuState;
let cpu: ProcessorContext;

beforeEach(() => {
  s = new CpuState(new ArrayBuffer(0x10000));
  s.set64(L.CR0, 0x31n);
  s.set64(L.CR4, 0x40600n);
  s.set64(L.XCR0, 7n);
  s.set64(L.EFER, 0x500n);
  s.setSegment(1, 8, 0n, 0xffffffff, 0xa09b);
  s.eflags = 2;
  s.set32(L.MXCSR, 0x1f80);
  s.u16[L.X87_FCW >> 1] = 0x37f;
  const at = (linear: bigint) => MEMORY + Number(linear);
  cpu = {
    s,
    mem: {
      readBytes: (linear: bigint, out: Uint8Array) => out.set(s.u8.subarray(at(linear), at(linear) + out.length)),
      writeBytes: (linear: bigint, bytes: Uint8Array) => s.u8.set(bytes, at(linear)),
      probeWrite: () => {},
      read8: (linear: bigint) => s.u8[at(linear)],
      read32: (linear: bigint) => new DataView(s.u8.buffer).getUint32(at(linear), true),
      write32: (linear: bigint, value: number) => new DataView(s.u8.buffer).setUint32(at(linear), value, true),
    },
    effectiveLinear: (insn: Instruction) => s.reg(insn.memory.base) + BigInt(insn.memory.disp),
    effectiveOffset: (insn: Instruction) => s.reg(insn.memory.base) + BigInt(insn.memory.disp),
  } as unknown as ProcessorContext;
});

/** Run one instruction; the vector it raised, or -1. */
function run(...bytes: number[]): number {
  const insn = new Instruction();
  expect(new Decoder().decode(Uint8Array.from(bytes), 0, bytes.length, 64, insn)).toBe('ok');
  const execute = x87InstructionFor(insn.row);
  if (!execute) throw new Error(`no instruction for ${insn.row.mnemonic}`);
  try {
    execute(cpu, insn);
    return -1;
  } catch (error) {
    if (error !== FAULT) throw error;
    return FAULT.vector;
  }
}

test('loads, computes, stores and remembers pointers', () => {
  s.setReg(0, 0x100n);
  new DataView(s.u8.buffer).setFloat64(MEMORY + 0x100, 1.5, true);
  s.rip = 0x7777n;
  expect(run(0xdd, 0x00)).toBe(-1); // FLD m64 [RAX]
  expect(run(0xdc, 0x00)).toBe(-1); // FADD m64 [RAX]
  expect(run(0xdd, 0x58, 0x08)).toBe(-1); // FSTP m64 [RAX + 8]
  expect(new DataView(s.u8.buffer).getFloat64(MEMORY + 0x108, true)).toBe(3);
  expect(s.u64[L.X87_FIP >> 3]).toBe(0x7777n);
  expect(s.u64[L.X87_FDP >> 3]).toBe(0x108n);
  expect(s.u16[L.X87_FOP >> 1]).toBe(0x558);
  expect(run(0x9b)).toBe(-1);
});

test('FCOMI writes RFLAGS, FNSTSW writes AX alone', () => {
  expect(run(0xd9, 0xe8)).toBe(-1); // FLD1
  expect(run(0xd9, 0xee)).toBe(-1); // FLDZ
  s.eflags = 2 | 0x8d5;
  expect(run(0xdb, 0xf1)).toBe(-1); // FCOMI: 0 < 1
  expect(s.eflags & 0x8d5).toBe(1);
  s.setReg(0, 0x1122334455667788n);
  expect(run(0xdf, 0xe0)).toBe(-1);
  expect(s.reg(0)).toBe(0x1122334455663000n);
});

test('#NM by CR0, #MF for a pending exception when NE is set', () => {
  s.set64(L.CR0, 0x39n);
  expect(run(0xd9, 0xe8)).toBe(VECTOR.NM);
  expect(run(0x9b)).toBe(-1);
  s.set64(L.CR0, 0x3bn);
  expect(run(0x9b)).toBe(VECTOR.NM);
  s.set64(L.CR0, 0x31n);
  s.u16[L.X87_FCW >> 1] = 0x37e;
  expect(run(0xd9, 0xfa)).toBe(-1); // FSQRT of an empty register: unmasked invalid
  expect(run(0xd9, 0xe8)).toBe(VECTOR.MF);
  expect(run(0x0f, 0x77)).toBe(VECTOR.MF);
  expect(run(0xdb, 0xe2)).toBe(-1); // FNCLEX does not wait
  expect(run(0xd9, 0xe8)).toBe(-1);
});

function fillVectors(): void {
  for (let i = 0; i < 512; i++) s.u8[L.YMM + i] = (i * 37 + 11) & 255;
}

test.each([
  ['FXSAVE', [0x0f, 0xae, 0x00], [0x0f, 0xae, 0x08], false],
  ['FXSAVE64', [0x48, 0x0f, 0xae, 0x00], [0x48, 0x0f, 0xae, 0x08], false],
  ['XSAVE', [0x0f, 0xae, 0x20], [0x0f, 0xae, 0x28], true],
  ['XSAVEOPT', [0x0f, 0xae, 0x30], [0x0f, 0xae, 0x28], true],
  ['XSAVEC', [0x0f, 0xc7, 0x20], [0x0f, 0xae, 0x28], true],
] as const)('%s and its restore bring the state back', (_name, save, restore, withYmm) => {
  run(0xd9, 0xeb); // FLDPI
  run(0xd9, 0xe8);
  fillVectors();
  s.set32(L.MXCSR, 0x3fa0);
  const before = s.u8.slice(L.X87_REGISTERS, L.YMM + 512);
  s.setReg(0, 0x407n); // address, and components x87, SSE, AVX
  s.setReg(0, 0x7n);
  cpu.effectiveLinear = cpu.effectiveOffset = () => 0x400n;
  expect(run(...save)).toBe(-1);
  run(0xdb, 0xe3);
  s.u8.fill(0xee, L.X87_REGISTERS, L.X87_REGISTERS + 128);
  s.u8.fill(0xee, L.YMM, L.YMM + 512);
  s.set32(L.MXCSR, 0x1f80);
  expect(run(...restore)).toBe(-1);
  const after = s.u8.slice(L.X87_REGISTERS, L.YMM + 512);
  for (const image of [before, after]) {
    // FCS and FDS are not in the 64-bit form; upper halves of YMM only in XSAVE's area; six bytes a register are unused.
    image.fill(0, L.X87_FCS - L.X87_REGISTERS, L.X87_FCS - L.X87_REGISTERS + 4);
    for (let p = 0; p < 8; p++) image.fill(0, 16 * p + 10, 16 * p + 16);
    const ymm = L.YMM - L.X87_REGISTERS;
    if (!withYmm) for (let n = 0; n < 16; n++) image.fill(0, ymm + 32 * n + 16, ymm + 32 * n + 32);
  }
  expect(Buffer.from(after).toString('hex')).toBe(Buffer.from(before).toString('hex'));
});

test('XSAVE marks what is in use, XRSTOR initialises what is absent and refuses a bad header', () => {
  s.setReg(0, 7n);
  cpu.effectiveLinear = cpu.effectiveOffset = () => 0x400n;
  fillVectors();
  for (let n = 0; n < 16; n++) s.u8.fill(0, L.YMM + 32 * n + 16, L.YMM + 32 * n + 32);
  expect(run(0x0f, 0xae, 0x20)).toBe(-1);
  expect(s.u8[MEMORY + 0x400 + 512]).toBe(2);
  fillVectors();
  run(0xd9, 0xe8);
  expect(run(0x0f, 0xae, 0x28)).toBe(-1);
  expect(s.u8[L.X87_FTW]).toBe(0);
  expect(s.u8[L.YMM + 16]).toBe(0);
  expect(s.u8[L.YMM]).toBe(11);
  s.u8[MEMORY + 0x400 + 512] = 0x82;
  expect(run(0x0f, 0xae, 0x28)).toBe(VECTOR.GP);
});

test('LDMXCSR refuses reserved bits', () => {
  s.setReg(0, 0n);
  new DataView(s.u8.buffer).setUint32(MEMORY, 0x5f80, true);
  expect(run(0x0f, 0xae, 0x10)).toBe(-1);
  expect(s.get32(L.MXCSR)).toBe(0x5f80);
  new DataView(s.u8.buffer).setUint32(MEMORY, 0x15f80, true);
  expect(run(0x0f, 0xae, 0x10)).toBe(VECTOR.GP);
});
