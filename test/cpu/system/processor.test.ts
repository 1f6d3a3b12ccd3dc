import { describe, expect, it } from 'vitest';
import { Flow } from '../../../src/cpu/context.ts';
import { Exit } from '../../../src/cpu/exits.ts';
import { VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CR4, FLAG, REG, SEG } from '../../../src/cpu/state.ts';
import { Machine, SEL, TSS } from './machine.ts';

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
