import { describe, expect, it } from 'vitest';
import { VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CR4, EFER, FLAG, REG, SEG } from '../../../src/cpu/state.ts';
import {
  dataBreakpoint,
  hasDataBreakpoints,
  hasInstructionBreakpoints,
  initProcessor,
  instructionBreakpoint,
  ioBreakpoint,
  powerUp,
  singleStep,
  startFlat32,
  startLong64,
  startReal,
  startUp,
  suppressSingleStep,
  takePendingDebug,
} from '../../../src/cpu/system/index.ts';
import { IDT, Machine, SEL } from './machine.ts';

const GP0 = { vector: VECTOR.GP, error: 0 };

describe('debug registers', () => {
  const toDr = (n: number): string => `0f 23 ${(0xc0 + n * 8).toString(16)}`;
  const fromDr = (n: number): string => `0f 21 ${(0xc0 + n * 8).toString(16)}`;
  it('fixed bits of DR6 and DR7; DR4 and DR5 are aliases without CR4.DE', () => {
    const m = new Machine().long64();
    m.s.setReg(REG.RAX, 0n);
    m.run(toDr(6));
    m.run(fromDr(4));
    expect(m.s.reg(REG.RAX)).toBe(0xffff0ff0n);
    m.s.setReg(REG.RAX, 0xffffd3ffn);
    m.run(toDr(7));
    m.s.setReg(REG.RAX, 0xffffd3ffn & ~0x2000n);
    m.s.set64(L.DR + 56, 0x400n);
    m.run(toDr(5));
    m.run(fromDr(7));
    expect(m.s.reg(REG.RAX)).toBe(0xffff07ffn);
    m.s.set64(L.CR4, BigInt(CR4.PAE | CR4.DE));
    expect(m.fault(fromDr(4)).vector).toBe(VECTOR.UD);
  });
  it('upper halves of DR6 and DR7 must be clear', () => {
    const m = new Machine().long64();
    m.s.setReg(REG.RAX, 1n << 32n);
    expect(m.fault(toDr(6))).toMatchObject(GP0);
    expect(m.fault(toDr(7))).toMatchObject(GP0);
    m.run(toDr(3));
    expect(m.s.get64(L.DR + 24)).toBe(1n << 32n);
  });
  it('DR7.GD turns any access into #DB with BD', () => {
    const m = new Machine().long64();
    m.s.set64(L.DR + 56, 0x2400n);
    expect(m.fault(fromDr(0))).toMatchObject({ vector: VECTOR.DB, error: -1 });
    expect(m.s.get64(L.DR + 48)).toBe(0xffff2ff0n);
  });
  it('CPL 0 only', () => {
    expect(new Machine().long64(3).fault(fromDr(0))).toMatchObject(GP0);
  });
  it('breakpoints match by kind and range', () => {
    const { s } = new Machine().long64();
    s.set64(L.DR, 0x1000n);
    s.set64(L.DR + 8, 0x2004n);
    s.set64(L.DR + 16, 0x3000n);
    s.set64(L.DR + 24, 0x60n);
    // 0: execute, global; 1: write, 4 bytes; 2: access, 8 bytes; 3: port, 2 bytes
    s.set64(L.DR + 56, 0x400n | 0b01010110n | (0x0n << 16n) | (0xdn << 20n) | (0xbn << 24n) | (0x6n << 28n));
    expect([instructionBreakpoint(s, 0x1000n), instructionBreakpoint(s, 0x1001n)]).toEqual([1, 0]);
    s.eflags |= FLAG.RF;
    expect(instructionBreakpoint(s, 0x1000n)).toBe(0);
    expect([
      dataBreakpoint(s, 0x2007n, 1, true),
      dataBreakpoint(s, 0x2007n, 1, false),
      dataBreakpoint(s, 0x2008n, 1, true),
    ]).toEqual([2, 0, 0]);
    expect([dataBreakpoint(s, 0x2ffen, 4, false), dataBreakpoint(s, 0x3008n, 8, true)]).toEqual([4, 0]);
    expect(ioBreakpoint(s, 0x61, 1)).toBe(0);
    s.set64(L.CR4, BigInt(CR4.DE));
    expect([ioBreakpoint(s, 0x61, 1), ioBreakpoint(s, 0x62, 1)]).toEqual([8, 0]);
    expect([hasInstructionBreakpoints(s), hasDataBreakpoints(s)]).toEqual([true, true]);
    s.set64(L.DR + 56, 0x400n);
    expect([hasInstructionBreakpoints(s), hasDataBreakpoints(s)]).toEqual([false, false]);
  });
  it('single-step pends BS; taking it updates DR6', () => {
    const { s } = new Machine();
    singleStep(s);
    expect([takePendingDebug(s), s.get64(L.DR + 48), takePendingDebug(s)]).toEqual([true, 0xffff4ff0n, false]);
  });
  it('MOV SS and INT n suppress the trap behind them', () => {
    const m = new Machine().protected32(0, 2 | FLAG.TF);
    m.s.setReg32(REG.RAX, SEL.DATA0);
    m.run('8e d0');
    singleStep(m.s);
    expect(takePendingDebug(m.s)).toBe(false);
    m.gate(IDT, 0x80, SEL.CODE0, 0x9000, 0x8e);
    m.run('cd 80');
    singleStep(m.s);
    expect(takePendingDebug(m.s)).toBe(false);
    singleStep(m.s);
    expect(takePendingDebug(m.s)).toBe(true);
    suppressSingleStep(m.s, 2);
    expect(m.s.get32(L.PENDING_DEBUG)).toBe(0);
  });
  it('a port breakpoint traps after the access', () => {
    const m = new Machine().protected32();
    m.s.set64(L.CR4, BigInt(CR4.DE));
    m.s.set64(L.DR, 0x80n);
    m.s.set64(L.DR + 56, 0x400n | 2n | (2n << 16n));
    m.run('e6 80');
    expect(m.s.get32(L.PENDING_DEBUG)).toBe(1);
  });
});

describe('reset and start states', () => {
  it('power-up, SDM table 10-1', () => {
    const { s } = new Machine();
    s.setReg(REG.RAX, 5n);
    powerUp(s, 0x60fb1, false);
    expect([s.selector(SEG.CS), s.base(SEG.CS), s.rip, s.eflags]).toEqual([0xf000, 0xffff0000n, 0xfff0n, 2]);
    expect([s.reg(REG.RAX), s.reg(REG.RDX)]).toEqual([0n, 0x60fb1n]);
    expect([s.get64(L.CR0), s.get64(L.DR + 48), s.get64(L.DR + 56)]).toEqual([0x60000010n, 0xffff0ff0n, 0x400n]);
    expect([s.get64(L.MSR_PAT), s.get64(L.MSR_APIC_BASE), s.get32(L.MXCSR), s.get32(L.IDTR_LIMIT)]).toEqual([
      0x0007040600070406n,
      0xfee00800n,
      0x1f80,
      0xffff,
    ]);
  });
  it('INIT keeps MSRs, SSE and cache bits; start-up IPI enters real mode', () => {
    const m = new Machine().long64();
    m.s.set64(L.MSR_LSTAR, 0x1234n);
    m.s.set64(L.YMM, 7n);
    initProcessor(m.s, 1);
    expect([m.s.get64(L.MSR_LSTAR), m.s.get64(L.YMM), m.s.get64(L.CR0), m.s.longMode]).toEqual([
      0x1234n,
      7n,
      0x10n,
      false,
    ]);
    startUp(m.s, 0x9a);
    expect([m.s.selector(SEG.CS), m.s.base(SEG.CS), m.s.rip]).toEqual([0x9a00, 0x9a000n, 0n]);
  });
  it('PVH start', () => {
    const { s } = new Machine();
    startFlat32(s, 0x100000, 0x7000);
    expect([s.rip, s.reg(REG.RBX), s.get64(L.CR0), s.eflags, s.cpl]).toEqual([0x100000n, 0x7000n, 0x11n, 2, 0]);
    expect([s.attributes(SEG.CS), s.limit(SEG.DS), s.attributes(SEG.SS)]).toEqual([0xc09b, 0xffffffff, 0xc093]);
  });
  it('64-bit and real-mode starts', () => {
    const { s } = new Machine();
    startLong64(s, 0xffffffff80000000n, 0x5000n);
    expect([s.is64, s.rip, s.cr3, s.get64(L.EFER)]).toEqual([
      true,
      0xffffffff80000000n,
      0x5000n,
      BigInt(EFER.LME | EFER.LMA),
    ]);
    startReal(s, 0x7c0, 0);
    expect([s.is64, s.base(SEG.CS), s.rip, s.cr0]).toEqual([false, 0x7c00n, 0n, 0x10]);
  });
});
