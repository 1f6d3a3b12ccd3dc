import { describe, expect, it } from 'vitest';
import { Flow } from '../../../src/cpu/context.ts';
import { VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CR4, FLAG, REG, SEG } from '../../../src/cpu/state.ts';
import { CODE, IDT, Machine, SEL, TSS } from './machine.ts';

const where = (m: Machine): [number, bigint, number] => [m.s.selector(SEG.CS), m.s.rip, m.s.cpl];
const sp = (m: Machine): number => Number(m.s.reg(REG.RSP));
const stack32 = (m: Machine, n: number): number[] => Array.from({ length: n }, (_, i) => m.mem.get32(sp(m) + 4 * i));

describe('IRET', () => {
  it('real mode, 16 and 32 bit', () => {
    const m = new Machine().real().pushAll(2, 0x1234, 0xa00, 0x7ed7);
    m.run('cf');
    expect([...where(m), m.s.eflags, sp(m)]).toEqual([0xa00, 0x1234n, 0, 0x7ed7, 0x1000]);
    m.pushAll(4, 0x1234, 0xa00, 0x3f7fd7);
    m.run('66 cf');
    expect(m.s.eflags).toBe(0x257fd7);
  });
  it('same privilege', () => {
    const m = new Machine().protected32().pushAll(4, 0x9000, SEL.CODE0, 0x3202);
    m.run('cf');
    expect([...where(m), m.s.eflags]).toEqual([SEL.CODE0, 0x9000n, 0, 0x3202]);
  });
  it('outward with stack, to 16-bit stacks only SP', () => {
    const m = new Machine().protected32().pushAll(4, 0x9000, SEL.CODE3, 0x202, 0x5abcd, 0xa3);
    m.gdt(20, 0, 0xffff, 0xf3, 0);
    const high = sp(m) & 0xffff0000;
    m.run('cf');
    expect([...where(m), sp(m)]).toEqual([SEL.CODE3, 0x9000n, 3, (high + 0xabcd) >>> 0]);
  });
  it('CPL 3 changes neither IOPL nor IF', () => {
    const m = new Machine().protected32(3).pushAll(4, 0x9000, SEL.CODE3, 0x3203);
    m.run('cf');
    expect(m.s.eflags).toBe(3);
  });
  it('CPL 3 with IOPL 3 changes IF', () => {
    const m = new Machine().protected32(3, 0x3002).pushAll(4, 0x9000, SEL.CODE3, 0x202);
    m.run('cf');
    expect(m.s.eflags).toBe(0x3202);
  });
  it('returns to virtual-8086 mode', () => {
    const m = new Machine().protected32().pushAll(4, 0x100, 0x800, 0x20202, 0xffe, 0x1000, 0x11, 0x22, 0x33, 0x44);
    m.run('cf');
    expect([...where(m), m.s.base(SEG.CS), m.s.reg(REG.RSP)]).toEqual([0x800, 0x100n, 3, 0x8000n, 0xffen]);
    expect([SEG.ES, SEG.DS, SEG.FS, SEG.GS].map((seg) => m.s.selector(seg))).toEqual([0x11, 0x22, 0x33, 0x44]);
    expect(m.s.eflags & FLAG.VM).toBe(FLAG.VM);
  });
  it('a virtual-8086 frame is only honoured at CPL 0', () => {
    const m = new Machine().protected32(3).pushAll(4, 0x9000, SEL.CODE3, 0x20202, 0, 0, 0, 0, 0, 0);
    m.run('cf');
    expect([m.s.eflags & FLAG.VM, m.s.selector(SEG.CS)]).toEqual([0, SEL.CODE3]);
  });
  it('within virtual-8086 mode needs IOPL 3', () => {
    const m = new Machine().vm86(0).pushAll(2, 0x10, 0x900, 0x202);
    expect(m.fault('cf')).toMatchObject({ vector: VECTOR.GP, error: 0 });
    const n = new Machine().vm86(3).pushAll(2, 0x10, 0x900, 0x0202);
    n.run('cf');
    expect([...where(n), n.s.eflags]).toEqual([0x900, 0x10n, 3, 0x23202]);
  });
  it('with VME and IOPL 0 works on VIF', () => {
    const m = new Machine().vm86(0).pushAll(2, 0x10, 0x900, 0x202);
    m.s.set64(L.CR4, BigInt(CR4.VME));
    m.run('cf');
    expect(m.s.eflags & (FLAG.VIF | FLAG.IF)).toBe(FLAG.VIF);
  });
  it('64-bit: always pops SS:RSP', () => {
    const m = new Machine().long64().pushAll(8, 0x9000, SEL.LONG0, 0x202, 0x7000, SEL.DATA0);
    m.run('48 cf');
    expect([...where(m), m.s.reg(REG.RSP), m.s.selector(SEG.SS)]).toEqual([SEL.LONG0, 0x9000n, 0, 0x7000n, SEL.DATA0]);
  });
  it('64-bit: null SS to kernel code, not to user code', () => {
    const m = new Machine().long64().pushAll(8, 0x9000, SEL.LONG0, 2, 0x7000, 0);
    m.run('48 cf');
    expect(m.s.attributes(SEG.SS)).toBe(0x10000);
    const n = new Machine().long64().pushAll(8, 0x9000, SEL.LONG3, 2, 0x7000, 3);
    expect(n.fault('48 cf')).toMatchObject({ vector: VECTOR.GP, error: 0 });
  });
  it('64-bit to 32-bit user code', () => {
    const m = new Machine().long64().pushAll(8, 0x9000, SEL.CODE3, 0x202, 0x100007000n, SEL.DATA3);
    m.run('48 cf');
    expect([...where(m), m.mode, m.s.reg(REG.RSP)]).toEqual([SEL.CODE3, 0x9000n, 3, 32, 0x7000n]);
  });
  it('long mode refuses NT and non-canonical RIP', () => {
    const m = new Machine().long64(0, 2 | FLAG.NT).pushAll(8, 0x9000, SEL.LONG0, 2, 0x7000, 0);
    expect(m.fault('48 cf')).toMatchObject({ vector: VECTOR.GP, error: 0 });
    const n = new Machine().long64().pushAll(8, 1n << 47n, SEL.LONG3, 2, 0x7000, SEL.DATA3);
    expect(n.fault('48 cf')).toMatchObject({ vector: VECTOR.GP, error: 0 });
  });
  it('opens NMIs, even when it faults', () => {
    const m = new Machine().protected32().pushAll(4, 0x9000, 0, 2);
    m.s.set32(L.NMI_BLOCKED, 1);
    m.fault('cf');
    expect(m.s.get32(L.NMI_BLOCKED)).toBe(0);
  });
  it('leaves the run when it opens the interrupt window', () => {
    const m = new Machine().protected32().pushAll(4, 0x9000, SEL.CODE0, 0x202);
    m.exits.pending = true;
    expect(m.run('cf')).toBe(Flow.LEAVE_BRANCH);
  });
  it('delivery and IRET are inverse in every mode', () => {
    for (const make of [
      () => new Machine().protected32(3, 0x247),
      () => new Machine().vm86(3),
      () => new Machine().long64(3, 0x246),
    ]) {
      const m = make();
      m.s.reg(0);
      for (let seg = 0; seg < 6; seg++)
        if (seg !== SEG.CS && seg !== SEG.SS && !(m.s.eflags & FLAG.VM)) {
          m.s.setSegment(seg, SEL.DATA3, 0n, 0xffffffff, 0xc0f3);
        }
      const before = m.registers();
      m.gate(IDT, 0x40, SEL.CODE0, 0x9000, 0xee);
      if (m.s.longMode) m.gate64(IDT, 0x40, SEL.LONG0, 0x9000n, 0xee);
      const rip = m.s.rip;
      m.run('cd 40');
      expect(m.s.cpl).toBe(0);
      m.run(m.s.is64 ? '48 cf' : 'cf');
      m.s.rip = rip;
      expect(m.registers()).toBe(before);
    }
  });
});

describe('INT n, INT3, INTO, INT1, BOUND', () => {
  it('push the address behind the instruction', () => {
    for (const [code, length, vector] of [
      ['cc', 1, 3],
      ['cd 03', 2, 3],
      ['cd 80', 2, 0x80],
      ['f1', 1, 1],
    ] as const) {
      const m = new Machine().protected32();
      m.gate(IDT, vector, SEL.CODE0, 0x9000, 0x8f);
      m.run(code);
      expect([m.s.rip, stack32(m, 1)[0]]).toEqual([0x9000n, CODE + length]);
    }
  });
  it('INT needs gate privilege; INT1 does not', () => {
    const m = new Machine().protected32(3);
    m.gate(IDT, 0x80, SEL.CODE0, 0x9000, 0x8e);
    m.gate(IDT, 1, SEL.CODE0, 0x9000, 0x8e);
    expect(m.fault('cd 80')).toMatchObject({ vector: VECTOR.GP, error: 0x402 });
    expect(m.fault('cc')).toMatchObject({ vector: VECTOR.GP, error: 0x1a });
    m.run('f1');
    expect(m.s.cpl).toBe(0);
  });
  it('INTO only with OF', () => {
    const m = new Machine().protected32(3);
    m.gate(IDT, 4, SEL.CODE0, 0x9000, 0xee);
    expect(m.run('ce')).toBe(Flow.NEXT);
    m.s.eflags |= FLAG.OF;
    m.run('ce');
    expect([m.s.rip, stack32(m, 1)[0]]).toEqual([0x9000n, CODE + 2]);
  });
  it('INT n in virtual-8086 mode needs IOPL 3; INT3 does not', () => {
    const m = new Machine().vm86(0);
    m.gate(IDT, 0x21, SEL.CODE0, 0x9000, 0xee);
    m.gate(IDT, 3, SEL.CODE0, 0x9000, 0xee);
    expect(m.fault('cd 21')).toMatchObject({ vector: VECTOR.GP, error: 0 });
    m.run('cc');
    expect(m.s.cpl).toBe(0);
  });
  it('INT n with VME and a clear redirection bit stays in virtual-8086 mode', () => {
    const m = new Machine().vm86(0);
    m.s.set64(L.CR4, BigInt(CR4.VME));
    m.mem.put16(TSS + 0x66, 0x88);
    m.mem.put16(0x21 * 4, 0x77);
    m.mem.put16(0x21 * 4 + 2, 0xa00);
    m.s.eflags |= FLAG.VIF;
    m.run('cd 21');
    expect([...where(m), m.s.eflags & FLAG.VIF]).toEqual([0xa00, 0x77n, 3, 0]);
    expect([0, 2, 4].map((o) => m.mem.get16(0x10000 + sp(m) + o))).toEqual([2, 0x800, 0x3202]);
  });
  it('BOUND compares signed', () => {
    const m = new Machine().protected32();
    m.mem.put32(0x6000, -5 >>> 0);
    m.mem.put32(0x6004, 10);
    for (const [value, inside] of [
      [-5, true],
      [10, true],
      [-6, false],
      [11, false],
    ] as const) {
      m.s.setReg32(REG.RAX, value >>> 0);
      if (inside) expect(m.run('62 05 00 60 00 00')).toBe(Flow.NEXT);
      else expect(m.fault('62 05 00 60 00 00')).toMatchObject({ vector: VECTOR.BR, error: -1 });
    }
    m.mem.put16(0x6000, -5 & 0xffff);
    m.mem.put16(0x6002, 10);
    m.s.setReg32(REG.RAX, 0x1fffb);
    expect(m.run('66 62 05 00 60 00 00')).toBe(Flow.NEXT);
  });
});
