import { describe, expect, it } from 'vitest';
import { Flow } from '../../../src/cpu/context.ts';
import { Exit } from '../../../src/cpu/exits.ts';
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
import { IDT, Machine, SEL, TSS } from './machine.ts';

const GP0 = { vector: VECTOR.GP, error: 0 };

describe('CLI and STI', () => {
  // cpl, iopl, CR4 bits, VM86 → what CLI and STI change
  const table: [string, () => Machine, number, number | 'gp'][] = [
    ['CPL 0', () => new Machine().protected32(0), 0, FLAG.IF],
    ['CPL 3, IOPL 0', () => new Machine().protected32(3), 0, 'gp'],
    ['CPL 3, IOPL 3', () => new Machine().protected32(3, 0x3002), 0, FLAG.IF],
    ['CPL 3, PVI', () => new Machine().protected32(3), CR4.PVI, FLAG.VIF],
    ['VM86, IOPL 0', () => new Machine().vm86(0), 0, 'gp'],
    ['VM86, IOPL 3', () => new Machine().vm86(3), 0, FLAG.IF],
    ['VM86, VME', () => new Machine().vm86(0), CR4.VME, FLAG.VIF],
    ['VM86, PVI has no say', () => new Machine().vm86(0), CR4.PVI, 'gp'],
    ['real mode', () => new Machine().real(), 0, FLAG.IF],
  ];
  it.each(table)('%s', (_name, make, cr4, flag) => {
    const m = make();
    m.s.set64(L.CR4, BigInt(cr4));
    if (flag === 'gp') {
      expect(m.fault('fa')).toMatchObject(GP0);
      expect(m.fault('fb')).toMatchObject(GP0);
      return;
    }
    const before = m.s.eflags;
    m.run('fb');
    expect(m.s.eflags).toBe(before | flag);
    m.run('fa');
    expect(m.s.eflags).toBe(before & ~flag);
  });
  it('STI shadows one instruction, only when IF was clear', () => {
    const m = new Machine().protected32();
    m.run('fb');
    expect(m.s.get32(L.INTERRUPT_SHADOW)).toBe(1);
    const n = new Machine().protected32(0, 2 | FLAG.IF);
    n.run('fb');
    expect(n.s.get32(L.INTERRUPT_SHADOW)).toBe(0);
  });
  it('STI leaves the run if an interrupt waits', () => {
    const m = new Machine().protected32();
    m.exits.pending = true;
    expect(m.run('fb')).toBe(Flow.LEAVE);
    expect(m.run('fb')).toBe(Flow.NEXT);
  });
  it('STI with VIP and VIF pending faults', () => {
    const m = new Machine().protected32(3, 2 | FLAG.VIP);
    m.s.set64(L.CR4, BigInt(CR4.PVI));
    expect(m.fault('fb')).toMatchObject(GP0);
  });
});

describe('PUSHF and POPF', () => {
  it('push without VM and RF, at every size', () => {
    const m = new Machine().long64(0, 0x247 | FLAG.RF | FLAG.ID);
    m.run('9c');
    expect(m.mem.get64(Number(m.s.reg(REG.RSP)))).toBe(0x200247n);
    m.run('66 9c');
    expect(m.mem.get16(Number(m.s.reg(REG.RSP)))).toBe(0x247);
  });
  const pops: [string, number, number, number, number][] = [
    // name, cpl, eflags before, popped, eflags after
    ['CPL 0 changes all but VM VIF VIP RF', 0, 2, 0x3f7fd7, 0x247fd7],
    ['CPL 3, IOPL 0: neither IF nor IOPL', 3, 2, 0x247fd7, 0x244dd7],
    ['CPL 3, IOPL 3: IF', 3, 0x3002, 0x202, 0x3202],
    ['reserved bits stay', 0, 2, 0xffffffff & ~0x3f7fd7, 2],
  ];
  it.each(pops)('%s', (_name, cpl, before, popped, after) => {
    const m = new Machine().protected32(cpl, before).pushAll(4, popped);
    m.run('9d');
    expect(m.s.eflags).toBe(after);
  });
  it('16 bits leave the upper half', () => {
    const m = new Machine().protected32(0, 2 | FLAG.ID).pushAll(2, 0x7fd5);
    m.run('66 9d');
    expect(m.s.eflags).toBe(0x207fd7);
  });
  it('tells the engine when AC or TF change', () => {
    const m = new Machine().long64().pushAll(8, 2 | FLAG.AC);
    m.run('9d');
    expect(m.modeChanges).toBe(1);
  });
  it('in virtual-8086 mode need IOPL 3, or VME with 16 bits', () => {
    expect(new Machine().vm86(0).fault('9c')).toMatchObject(GP0);
    expect(new Machine().vm86(0).fault('9d')).toMatchObject(GP0);
    const m = new Machine().vm86(0);
    m.s.set64(L.CR4, BigInt(CR4.VME));
    m.s.eflags |= FLAG.VIF;
    m.run('9c');
    expect(m.mem.get16(0x10000 + Number(m.s.reg(REG.RSP)))).toBe(0x3202);
    expect(m.fault('66 9c')).toMatchObject(GP0);
    m.pushAll(2, 2);
    m.run('9d');
    expect(m.s.eflags & FLAG.VIF).toBe(0);
    m.pushAll(2, 2 | FLAG.TF);
    expect(m.fault('9d')).toMatchObject(GP0);
  });
  it('POPF that opens the window leaves the run', () => {
    const m = new Machine().protected32().pushAll(4, 0x202);
    m.exits.pending = true;
    expect(m.run('9d')).toBe(Flow.LEAVE);
  });
});

describe('ports', () => {
  function user(iopl = 0): Machine {
    const m = new Machine().protected32(3, 2 | (iopl << 12));
    m.mem.put16(TSS + 0x66, 0x68);
    for (let i = 0; i < 0x2000; i++) m.mem.view.setUint8(TSS + 0x68 + i, 0xff);
    return m;
  }
  it('IN and OUT of each size', () => {
    const m = new Machine().long64();
    m.s.setReg(REG.RAX, 0xffffffffffffffffn);
    m.s.setReg(REG.RDX, 0x12340cf8n);
    m.exits.portValue = 0x12345678;
    m.run('ec');
    expect(m.s.reg(REG.RAX)).toBe(0xffffffffffffff78n);
    m.run('66 ed');
    expect(m.s.reg(REG.RAX)).toBe(0xffffffffffff5678n);
    m.run('48 ed');
    expect(m.s.reg(REG.RAX)).toBe(0x12345678n);
    m.run('e6 80');
    m.run('ef');
    expect(m.exits.calls).toEqual(['in cf8 1', 'in cf8 2', 'in cf8 4', 'out 80 1 78', 'out cf8 4 12345678']);
  });
  it('IOPL or the bitmap decide above it', () => {
    expect(user().fault('e4 80')).toMatchObject(GP0);
    expect(user(3).run('e4 80')).toBe(Flow.NEXT);
    const m = user();
    m.mem.view.setUint8(TSS + 0x68 + 0x10, 0xfe);
    expect(m.run('e4 80')).toBe(Flow.NEXT);
    expect(m.fault('66 e5 80')).toMatchObject(GP0);
    m.mem.view.setUint8(TSS + 0x68 + 0x10, 0x7f);
    m.mem.view.setUint8(TSS + 0x68 + 0x11, 0xfe);
    expect(m.run('66 e5 87')).toBe(Flow.NEXT);
  });
  it('a bitmap beyond the limit closes all ports', () => {
    const m = user();
    m.mem.put16(TSS + 0x66, 0x2fff);
    expect(m.fault('e4 00')).toMatchObject(GP0);
    m.s.setSegment(SEG.TR, SEL.TSS, BigInt(TSS), 0x66, 0x8b);
    expect(m.fault('e4 00')).toMatchObject(GP0);
  });
  it('virtual-8086 mode looks at the bitmap even with IOPL 3', () => {
    const m = new Machine().vm86(3);
    m.mem.put16(TSS + 0x66, 0x68);
    m.mem.view.setUint8(TSS + 0x68 + 0x10, 0xff);
    expect(m.fault('e4 80')).toMatchObject(GP0);
  });
  it('REP OUTS stays on the instruction while the count lasts', () => {
    const m = new Machine().protected32();
    m.s.setReg32(REG.RCX, 2);
    m.s.setReg32(REG.RSI, 0x6000);
    m.s.setReg32(REG.RDX, 0xe9);
    m.mem.put16(0x6000, 0x4241);
    const at = m.s.rip;
    expect([m.run('f3 6e'), m.s.rip]).toEqual([Flow.BRANCH, at]);
    expect([m.run('f3 6e'), m.s.rip]).toEqual([Flow.NEXT, at + 2n]);
    expect(m.exits.calls).toEqual(['out e9 1 41', 'out e9 1 42']);
    expect([m.s.reg(REG.RCX), m.s.reg(REG.RSI)]).toEqual([0n, 0x6002n]);
    expect(m.run('f3 6e')).toBe(Flow.NEXT);
    expect(m.exits.calls.length).toBe(2);
  });
  it('INS writes to ES:rDI, backwards with DF, and checks memory first', () => {
    const m = new Machine().protected32(0, 2 | FLAG.DF);
    m.s.setReg32(REG.RDI, 0x6004);
    m.exits.portValue = 0xabcd1234;
    m.run('6d');
    expect([m.mem.get32(0x6004), m.s.reg(REG.RDI)]).toEqual([0xabcd1234, 0x6000n]);
    m.mem.readOnly.add(6);
    const calls = m.exits.calls.length;
    expect(m.fault('6d')).toMatchObject({ vector: VECTOR.PF, error: 3 });
    expect(m.exits.calls.length).toBe(calls);
  });
  it('exits can yield or ask to retry', () => {
    const m = new Machine().protected32();
    m.exits.result = Exit.YIELD;
    expect(m.run('e6 80')).toBe(Flow.LEAVE);
    m.s.setReg32(REG.RCX, 5);
    expect(m.run('f3 6e')).toBe(Flow.LEAVE_BRANCH);
    m.exits.result = Exit.RETRY;
    const before = m.registers();
    expect(m.run('f3 6e')).toBe(Flow.RETRY);
    expect(m.registers()).toBe(before);
  });
});

describe('HLT, PAUSE, MWAIT, CPUID, hypercalls, undefined opcodes', () => {
  it('HLT halts at CPL 0 only', () => {
    const m = new Machine().protected32();
    expect([m.run('f4'), m.s.get32(L.ACTIVITY), m.exits.calls[0]]).toEqual([Flow.LEAVE, 1, 'halt']);
    expect(new Machine().protected32(3).fault('f4')).toMatchObject(GP0);
  });
  it('PAUSE and MWAIT hint', () => {
    const m = new Machine().protected32();
    m.exits.result = Exit.YIELD;
    expect(m.run('f3 90')).toBe(Flow.LEAVE);
    expect(m.run('0f 01 c9')).toBe(Flow.LEAVE);
    expect(m.exits.calls).toEqual(['pause', 'pause']);
  });
  it('MONITOR touches its address', () => {
    const m = new Machine().protected32();
    m.s.setReg32(REG.RAX, 0x6000);
    expect(m.run('0f 01 c8')).toBe(Flow.NEXT);
    m.mem.missing.add(6);
    expect(m.fault('0f 01 c8')).toMatchObject({ vector: VECTOR.PF, error: 0 });
    m.s.setReg32(REG.RCX, 1);
    expect(m.fault('0f 01 c8')).toMatchObject(GP0);
    expect(new Machine().protected32(3).fault('0f 01 c8').vector).toBe(VECTOR.UD);
  });
  it('CPUID mirrors OSXSAVE, the APIC enable and the XSAVE size', () => {
    const m = new Machine().long64();
    m.exits.leaves.set(1, { eax: 1, ebx: 2, ecx: 1 << 27, edx: 1 << 9 });
    m.exits.leaves.set(0xd, { eax: 7, ebx: 1, ecx: 832, edx: 0 });
    m.s.setReg(REG.RAX, 1n);
    m.run('0f a2');
    expect([m.s.reg(REG.RAX), m.s.reg(REG.RBX), m.s.reg(REG.RCX), m.s.reg(REG.RDX)]).toEqual([1n, 2n, 0n, 0x200n]);
    m.s.set64(L.CR4, BigInt(CR4.PAE | CR4.OSXSAVE));
    m.s.set64(L.MSR_APIC_BASE, 0xfee00000n);
    m.s.setReg(REG.RAX, 1n);
    m.run('0f a2');
    expect([m.s.reg(REG.RCX), m.s.reg(REG.RDX)]).toEqual([0x8000000n, 0n]);
    m.s.setReg(REG.RAX, 0xdn);
    m.s.setReg(REG.RCX, 0n);
    m.run('0f a2');
    expect(m.s.reg(REG.RBX)).toBe(576n);
  });
  it('VMCALL and VMMCALL are hypercalls', () => {
    const m = new Machine().protected32();
    m.run('0f 01 c1');
    m.run('0f 01 d9');
    expect(m.exits.calls).toEqual(['hypercall', 'hypercall']);
    m.exits.result = Exit.RETRY;
    expect(m.run('0f 01 c1')).toBe(Flow.RETRY);
  });
  it('CLAC and STAC', () => {
    const m = new Machine().long64();
    m.run('0f 01 cb');
    expect(m.s.eflags & FLAG.AC).toBe(FLAG.AC);
    m.run('0f 01 ca');
    expect([m.s.eflags & FLAG.AC, m.modeChanges]).toEqual([0, 2]);
    expect(new Machine().long64(3).fault('0f 01 cb').vector).toBe(VECTOR.UD);
  });
  it('UD0 UD1 UD2 RSM', () => {
    for (const code of ['0f ff c0', '0f b9 c0', '0f 0b', '0f aa']) {
      expect(new Machine().long64().fault(code)).toMatchObject({ vector: VECTOR.UD, error: -1 });
    }
  });
  it('WBINVD and INVD need CPL 0', () => {
    for (const code of ['0f 09', '0f 08']) {
      expect(new Machine().long64().run(code)).toBe(Flow.NEXT);
      expect(new Machine().long64(3).fault(code)).toMatchObject(GP0);
    }
  });
});

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
