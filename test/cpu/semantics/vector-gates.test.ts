/** When vector instructions may not execute: CR0, CR4, XCR0, pending x87 exceptions; and what outer modes change. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Ticks } from '../../../src/base/ticks.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CR0, CR4, FLAG, SEG } from '../../../src/cpu/state.ts';
import { type Vector, VectorMachine } from '../../conformance/vector-machine.ts';

const CODE = '0x10000000';
const ZEROS = '0x0';
const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15 rflags'.split(' ');

const PXOR = '660fefc1';
const PXOR_MMX = '0fefc1';
const VPXOR = 'c5f1efc1';
const PSHUFB_MISALIGNED = '660f380001';
const VGATHER = 'c4e26990040b';
const PCMPISTRI = '660f3a63c100';
const MOVQ2DQ = 'f30fd6c1';
const VZEROUPPER = 'c5f877';

const machine = new VectorMachine();
const { state, processor } = machine.engine;
const CR0_NORMAL = state.get64(L.CR0);
const CR4_NORMAL = state.get64(L.CR4);

beforeEach(() => {
  state.set64(L.CR0, CR0_NORMAL);
  state.set64(L.CR4, CR4_NORMAL);
  state.set64(L.XCR0, 7n);
  processor.modeChanged();
});

function expectation(bytes: string, vector: number | null, more: Partial<Vector['in']> = {}): Vector {
  return {
    id: bytes,
    family: 'made',
    form: 'made',
    bytes,
    rip: CODE,
    in: { regs: Object.fromEntries(NAMES.map((n) => [n, ZEROS])), ...more },
    out: { rip: vector === null ? `0x${(0x10000000 + bytes.length / 2).toString(16)}` : CODE },
    exception: vector === null ? null : { vector, error: 0, cr2: null },
    undefinedFlags: '0x0',
  };
}

const UD = 6;
const NM = 7;
const MF = 16;

describe('control registers', () => {
  const cases: [string, string, () => void, number | null][] = [
    ['SSE as the system wants it', PXOR, () => {}, null],
    ['SSE with CR0.EM', PXOR, () => state.set64(L.CR0, CR0_NORMAL | BigInt(CR0.EM)), UD],
    ['SSE with CR0.TS', PXOR, () => state.set64(L.CR0, CR0_NORMAL | BigInt(CR0.TS)), NM],
    ['SSE with CR0.EM and CR0.TS', PXOR, () => state.set64(L.CR0, CR0_NORMAL | BigInt(CR0.TS | CR0.EM)), UD],
    ['SSE without CR4.OSFXSR', PXOR, () => state.set64(L.CR4, CR4_NORMAL & ~BigInt(CR4.OSFXSR)), UD],
    ['string compare with CR0.TS', PCMPISTRI, () => state.set64(L.CR0, CR0_NORMAL | BigInt(CR0.TS)), NM],
    ['MMX without CR4.OSFXSR', PXOR_MMX, () => state.set64(L.CR4, CR4_NORMAL & ~BigInt(CR4.OSFXSR)), null],
    ['MMX with CR0.EM', PXOR_MMX, () => state.set64(L.CR0, CR0_NORMAL | BigInt(CR0.EM)), UD],
    ['MMX with CR0.TS', PXOR_MMX, () => state.set64(L.CR0, CR0_NORMAL | BigInt(CR0.TS)), NM],
    ['AVX with CR0.EM and without CR4.OSFXSR', VPXOR, () => state.set64(L.CR4, CR4_NORMAL & ~BigInt(CR4.OSFXSR)), null],
    ['AVX without CR4.OSXSAVE', VPXOR, () => state.set64(L.CR4, CR4_NORMAL & ~BigInt(CR4.OSXSAVE)), UD],
    ['AVX without XCR0.AVX', VPXOR, () => state.set64(L.XCR0, 3n), UD],
    ['AVX with CR0.TS', VPXOR, () => state.set64(L.CR0, CR0_NORMAL | BigInt(CR0.TS)), NM],
    ['gather without XCR0.AVX', VGATHER, () => state.set64(L.XCR0, 3n), UD],
    ['gather with CR0.TS', VGATHER, () => state.set64(L.CR0, CR0_NORMAL | BigInt(CR0.TS)), NM],
  ];
  test.each(cases)('%s', (_, bytes, prepare, vector) => {
    prepare();
    const v = expectation(bytes, vector);
    if (bytes === PXOR_MMX && vector === null) v.out.x87 = { ftw: '0xff', r: { 0: 'ffff0000000000000000' } };
    if (bytes === PCMPISTRI || bytes === VGATHER) v.modelSpecific = true;
    expect(machine.run(v)).toEqual([]);
  });
});

describe('a pending x87 exception', () => {
  const pending = { x87: { fcw: '0x37e', fsw: '0x8081' } };
  test.each([
    ['stops an MMX instruction', PXOR_MMX],
    ['stops a move between MMX and SSE', MOVQ2DQ],
  ])('%s', (_, bytes) => {
    expect(machine.run(expectation(bytes, MF, pending))).toEqual([]);
  });
  test('does not stop SSE', () => {
    expect(machine.run(expectation(PXOR, null, pending))).toEqual([]);
  });
  test('is ignored with CR0.NE = 0', () => {
    state.set64(L.CR0, CR0_NORMAL & ~BigInt(CR0.NE));
    const v = expectation(PXOR_MMX, null, pending);
    v.out.x87 = { fsw: '0x8081', ftw: '0xff', r: { 0: 'ffff0000000000000000' } };
    expect(machine.run(v)).toEqual([]);
  });
});

test('a misaligned operand is #GP before its page is looked at', () => {
  const v = expectation(PSHUFB_MISALIGNED, 13);
  v.in.regs!['rcx'] = '0x30000001';
  expect(machine.run(v)).toEqual([]);
});

describe('outside 64-bit mode', () => {
  test('VEX encodings do not exist in virtual-8086 mode', () => {
    state.set32(L.EFLAGS_REST, state.get32(L.EFLAGS_REST) | FLAG.VM);
    processor.modeChanged();
    expect(state.u8[L.VECTOR_GATE + 1]).toBe(UD);
    expect(state.u8[L.VECTOR_GATE]).toBe(0);
    state.set32(L.EFLAGS_REST, state.get32(L.EFLAGS_REST) & ~FLAG.VM);
    processor.modeChanged();
    expect(state.u8[L.VECTOR_GATE + 1]).toBe(0);
  });

  test('VZEROUPPER leaves registers 8 to 15', () => {
    machine.run(expectation(VZEROUPPER, null));
    const fill = (n: number): void => state.set64(L.YMM + 32 * n + 16, 0x1234n);
    for (let n = 0; n < 16; n++) fill(n);
    state.setSegment(SEG.CS, 0x23, 0n, 0xffffffff, 0xc0fb);
    processor.modeChanged();
    state.rip = BigInt(CODE);
    machine.engine.run(0 as Ticks, 1);
    state.setSegment(SEG.CS, 0x33, 0n, 0xffffffff, 0xa0fb);
    processor.modeChanged();
    expect(state.rip).toBe(BigInt(CODE) + 3n);
    const uppers = Array.from({ length: 16 }, (_, n) => state.get64(L.YMM + 32 * n + 16));
    expect(uppers).toEqual([...new Array(8).fill(0n), ...new Array(8).fill(0x1234n)]);
  });
});
