import { describe, expect, it } from 'vitest';
import { Flow } from '../../../src/cpu/context.ts';
import { VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CR4, EFER, FLAG, REG, SEG } from '../../../src/cpu/state.ts';
import { CODE, GDT, IDT, Machine, SEL, STACK0, STACK3, TSS } from './machine.ts';

const where = (m: Machine): [number, bigint, number] => [m.s.selector(SEG.CS), m.s.rip, m.s.cpl];
const le = (value: number | bigint, bytes: number): string => {
  let out = '';
  for (let i = 0; i < bytes; i++) out += Number((BigInt(value) >> BigInt(8 * i)) & 0xffn).toString(16).padStart(2, '0');
  return out;
};
const jmp32 = (selector: number, offset: number): string => `ea ${le(offset, 4)} ${le(selector, 2)}`;
const call32 = (selector: number, offset: number): string => `9a ${le(offset, 4)} ${le(selector, 2)}`;
const sp = (m: Machine): number => Number(m.s.reg(REG.RSP));
const stack32 = (m: Machine, n: number): number[] => Array.from({ length: n }, (_, i) => m.mem.get32(sp(m) + 4 * i));

describe('far JMP', () => {
  it('in real mode sets the base and keeps the limit', () => {
    const m = new Machine().real();
    expect(m.run('ea 34 12 00 0a')).toBe(Flow.BRANCH);
    expect([...where(m), m.s.base(SEG.CS), m.s.limit(SEG.CS)]).toEqual([0xa00, 0x1234n, 0, 0xa000n, 0xffff]);
  });
  it('in real mode refuses an offset beyond the limit', () => {
    expect(new Machine().real().fault('66 ea 00 00 01 00 00 0a')).toMatchObject({ vector: VECTOR.GP, error: 0 });
  });
  it('in virtual-8086 mode too', () => {
    const m = new Machine().vm86();
    m.run('ea 34 12 00 0a');
    expect([...where(m), m.s.attributes(SEG.CS)]).toEqual([0xa00, 0x1234n, 3, 0xf3]);
  });
  it('loads a code segment and sets its accessed bit', () => {
    const m = new Machine().protected32();
    m.gdt(20, 0x100, 0xfffff, 0x9a, 0xc);
    m.run(jmp32(0xa0, 0x9000));
    expect([...where(m), m.s.base(SEG.CS)]).toEqual([0xa0, 0x9000n, 0, 0x100n]);
    expect(m.mem.view.getUint8(GDT + 0xa5)).toBe(0x9b);
  });
  it('enters 64-bit code from compatibility mode', () => {
    const m = new Machine().long64();
    m.s.setSegment(SEG.CS, SEL.CODE0, 0n, 0xffffffff, 0xc09b);
    m.run(jmp32(SEL.LONG0, 0x9000));
    expect(m.s.is64).toBe(true);
    expect(m.modeChanges).toBe(1);
  });
  it('takes its operand from memory, 16, 32 and 64 bits wide', () => {
    const m = new Machine().long64();
    m.mem.put64(0x6000, 0x9abcn);
    m.mem.put16(0x6008, SEL.LONG0);
    m.run('48 ff 2c 25 00 60 00 00');
    expect(where(m)).toEqual([SEL.LONG0, 0x9abcn, 0]);
    m.mem.put32(0x6000, 0x9def);
    m.mem.put16(0x6004, SEL.CODE0);
    m.run('ff 2c 25 00 60 00 00');
    expect([m.s.rip, m.mode]).toEqual([0x9defn, 32]);
  });
  const G = VECTOR.GP;
  const cases: [string, number, number, number, number, ((m: Machine) => void)?, number?][] = [
    ['null selector', 0, 0, G, 0],
    ['beyond the GDT', 0x400, 0, G, 0x400],
    ['data', SEL.DATA0, 0, G, SEL.DATA0],
    ['less privileged code', SEL.CODE3, 0, G, SEL.CODE3 & ~3],
    ['more privileged code', SEL.CODE0, 0, G, SEL.CODE0, undefined, 3],
    ['RPL above CPL', SEL.CODE0 | 1, 0, G, SEL.CODE0],
    ['conforming code of less privilege', 0xa0, 0, G, 0xa0, (m) => m.gdt(20, 0, 0xfffff, 0xff, 0xc)],
    ['not present', 0xa0, 0, VECTOR.NP, 0xa0, (m) => m.gdt(20, 0, 0xfffff, 0x1b, 0xc)],
    ['beyond the limit', SEL.CODE16, 0x10000, G, 0],
    ['no local table', 0x0c, 0, G, 0x0c],
    ['an LDT descriptor', SEL.LDT, 0, G, SEL.LDT],
    ['a busy TSS', SEL.TSS, 0, G, SEL.TSS],
    ['an interrupt gate', 0xa0, 0, G, 0xa0, (m) => m.gate(GDT, 20, SEL.CODE0, 0, 0x8e)],
  ];
  it.each(cases)('faults: %s', (_name, selector, offset, vector, error, set, cpl) => {
    const m = new Machine().protected32(cpl ?? 0);
    set?.(m);
    expect(m.fault(jmp32(selector, offset))).toMatchObject({ vector, error });
  });
  it('conforming code keeps the privilege', () => {
    const m = new Machine().protected32(3);
    m.run(jmp32(SEL.CONFORMING, 0x9000));
    expect(where(m)).toEqual([SEL.CONFORMING | 3, 0x9000n, 3]);
  });
  it('long mode refuses L and D together', () => {
    const m = new Machine().long64();
    m.s.setSegment(SEG.CS, SEL.CODE0, 0n, 0xffffffff, 0xc09b);
    m.gdt(20, 0, 0xfffff, 0x9b, 0xe);
    expect(m.fault(jmp32(0xa0, 0))).toMatchObject({ vector: G, error: 0xa0 });
  });
  it('goes through a call gate to equal privilege only', () => {
    const m = new Machine().protected32(3);
    m.gate(GDT, 20, SEL.CODE3, 0x9000, 0xec);
    m.run(jmp32(0xa3, 0xdead));
    expect(where(m)).toEqual([SEL.CODE3, 0x9000n, 3]);
    m.gate(GDT, 20, SEL.CODE0, 0x9000, 0xec);
    expect(m.fault(jmp32(0xa3, 0))).toMatchObject({ vector: G, error: SEL.CODE0 });
  });
});

describe('far CALL and RETF', () => {
  it('real mode: pushes CS and IP; RETF n comes back', () => {
    const m = new Machine().real();
    m.run('9a 00 10 00 0a');
    expect([m.mem.get16(0x10000 + sp(m)), m.mem.get16(0x10002 + sp(m))]).toEqual([5, 0x800]);
    m.run('ca 04 00');
    expect([...where(m), sp(m)]).toEqual([0x800, 5n, 0, 0x1004]);
  });
  it('same privilege', () => {
    const m = new Machine().protected32();
    const top = sp(m);
    m.run(call32(SEL.CODE0, 0x9000));
    expect(stack32(m, 2)).toEqual([CODE + 7, SEL.CODE0]);
    m.run('cb');
    expect([...where(m), sp(m)]).toEqual([SEL.CODE0, BigInt(CODE + 7), 0, top]);
  });
  it('64-bit: RETFQ pops eight bytes each', () => {
    const m = new Machine().long64().pushAll(8, 0x9000, SEL.LONG0);
    m.run('48 cb');
    expect([...where(m), sp(m)]).toEqual([SEL.LONG0, 0x9000n, 0, STACK0 - 0x800]);
  });
  it('a call gate goes inward: stack from the TSS, parameters copied; RETF n comes out', () => {
    const m = new Machine().protected32(3).pushAll(4, 0x111, 0x222);
    m.gate(GDT, 20, SEL.CODE0, 0x9000, 0xec, 2);
    const top = sp(m);
    m.run(call32(0xa3, 0));
    expect(where(m)).toEqual([SEL.CODE0, 0x9000n, 0]);
    expect(sp(m)).toBe(STACK0 - 24);
    expect(stack32(m, 6)).toEqual([CODE + 7, SEL.CODE3, 0x111, 0x222, top, SEL.DATA3]);
    m.run('ca 08 00');
    expect([...where(m), sp(m), m.s.selector(SEG.SS)]).toEqual([SEL.CODE3, BigInt(CODE + 7), 3, top + 8, SEL.DATA3]);
  });
  it('a 16-bit call gate pushes words', () => {
    const m = new Machine().protected32(3);
    m.gate(GDT, 20, SEL.CODE0, 0x9000, 0xe4, 0);
    m.run(call32(0xa3, 0));
    expect(sp(m)).toBe(STACK0 - 8);
  });
  it('a 64-bit call gate', () => {
    const m = new Machine().long64(3);
    m.gate(GDT, 20, SEL.LONG0, 0x9000, 0xec);
    m.mem.put64(GDT + 0xa8, 0n);
    m.mem.put32(0x6000, 0);
    m.mem.put16(0x6004, 0xa3);
    m.run('ff 1c 25 00 60 00 00');
    expect([...where(m), m.s.selector(SEG.SS), sp(m)]).toEqual([SEL.LONG0, 0x9000n, 0, 0, STACK0 - 32]);
    const frame = [0, 8, 16, 24].map((o) => m.mem.get64(sp(m) + o));
    expect(frame).toEqual([BigInt(CODE + 7), BigInt(SEL.LONG3), BigInt(STACK3), BigInt(SEL.DATA3)]);
  });
  it('a 64-bit call gate wants 64-bit code and a sane upper half', () => {
    const m = new Machine().long64(3);
    m.mem.put32(0x6000, 0);
    m.mem.put16(0x6004, 0xa3);
    m.gate(GDT, 20, SEL.CODE0, 0x9000, 0xec);
    m.mem.put64(GDT + 0xa8, 0n);
    expect(m.fault('ff 1c 25 00 60 00 00')).toMatchObject({ vector: VECTOR.GP, error: SEL.CODE0 });
    m.gate(GDT, 20, SEL.LONG0, 0x9000, 0xec);
    m.mem.put64(GDT + 0xa8, 0x1f0000000000n);
    expect(m.fault('ff 1c 25 00 60 00 00')).toMatchObject({ vector: VECTOR.GP, error: 0xa0 });
  });
  const gates: [string, (m: Machine) => void, number, number][] = [
    ['gate DPL below CPL', (m) => m.gate(GDT, 20, SEL.CODE0, 0x9000, 0x8c), VECTOR.GP, 0xa0],
    ['gate not present', (m) => m.gate(GDT, 20, SEL.CODE0, 0x9000, 0x6c), VECTOR.NP, 0xa0],
    ['null code selector', (m) => m.gate(GDT, 20, 0, 0x9000, 0xec), VECTOR.GP, 0],
    ['data behind the gate', (m) => m.gate(GDT, 20, SEL.DATA0, 0x9000, 0xec), VECTOR.GP, SEL.DATA0],
    ['code not present', (m) => m.gdt(1, 0, 0xfffff, 0x1b, 0xc), VECTOR.NP, SEL.CODE0],
    ['null stack in the TSS', (m) => m.mem.put32(TSS + 8, 0), VECTOR.TS, 0],
    ['wrong stack in the TSS', (m) => m.mem.put32(TSS + 8, SEL.DATA3), VECTOR.TS, SEL.DATA3 & ~3],
    ['offset beyond the limit', (m) => m.gdt(1, 0, 0xfff, 0x9b, 0x4), VECTOR.GP, 0],
    ['no room on the new stack', (m) => m.gdt(2, 0, 0xff, 0x93, 0x4), VECTOR.SS, SEL.DATA0],
  ];
  it.each(gates)('call gate faults: %s', (_name, spoil, vector, error) => {
    const m = new Machine().protected32(3);
    m.gate(GDT, 20, SEL.CODE0, 0x9000, 0xec);
    spoil(m);
    expect(m.fault(call32(0xa3, 0))).toMatchObject({ vector, error });
  });
  it('a CALL whose push faults leaves nothing', () => {
    const m = new Machine().protected32();
    m.mem.readOnly.add((STACK0 - 0x804) >> 12);
    expect(m.fault(call32(SEL.CODE0, 0x9000))).toMatchObject({ vector: VECTOR.PF, error: 3 });
  });
  const returns: [string, number, number, number, number, number?][] = [
    ['null CS', 0, SEL.DATA3, VECTOR.GP, 0],
    ['RPL inward', SEL.CODE0, SEL.DATA0, VECTOR.GP, SEL.CODE0, 3],
    ['DPL is not RPL', SEL.CODE0 | 3, SEL.DATA3, VECTOR.GP, SEL.CODE0],
    ['data as CS', SEL.DATA3, SEL.DATA3, VECTOR.GP, SEL.DATA3 & ~3],
    ['null SS', SEL.CODE3, 0, VECTOR.GP, 0],
    ['SS of another privilege', SEL.CODE3, SEL.DATA0, VECTOR.GP, SEL.DATA0],
    ['SS is code', SEL.CODE3, SEL.CODE3, VECTOR.GP, SEL.CODE3 & ~3],
  ];
  it.each(returns)('RETF faults: %s', (_name, cs, ss, vector, error, cpl) => {
    const m = new Machine().protected32(cpl ?? 0).pushAll(4, 0x9000, cs, STACK3, ss);
    expect(m.fault('cb')).toMatchObject({ vector, error });
  });
  it('outward RETF drops data segments the new privilege may not use, and keeps null bases', () => {
    const m = new Machine().protected32().pushAll(4, 0x9000, SEL.CODE3, STACK3, SEL.DATA3);
    m.s.setSegment(SEG.ES, SEL.DATA3, 0n, 0xffffffff, 0xc0f3);
    m.s.setSegment(SEG.FS, 3, 0x1234n, 0, 0x10000);
    m.s.setSegment(SEG.GS, SEL.CONFORMING, 0n, 0xffffffff, 0xc09f);
    m.run('cb');
    expect(m.s.attributes(SEG.DS)).toBe(0x10000);
    expect([m.s.selector(SEG.ES), m.s.base(SEG.FS), m.s.selector(SEG.GS)]).toEqual([SEL.DATA3, 0x1234n, SEL.CONFORMING]);
  });
});

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
    for (const make of [() => new Machine().protected32(3, 0x247), () => new Machine().vm86(3), () => new Machine().long64(3, 0x246)]) {
      const m = make();
      m.s.reg(0);
      for (let seg = 0; seg < 6; seg++) if (seg !== SEG.CS && seg !== SEG.SS && !(m.s.eflags & FLAG.VM)) {
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
    for (const [code, length, vector] of [['cc', 1, 3], ['cd 03', 2, 3], ['cd 80', 2, 0x80], ['f1', 1, 1]] as const) {
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
    for (const [value, inside] of [[-5, true], [10, true], [-6, false], [11, false]] as const) {
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

describe('fast system calls', () => {
  function withStar(cpl: number, eflags = 0x246): Machine {
    const m = new Machine().long64(cpl, eflags);
    m.s.set64(L.MSR_STAR, 0x0043_0050_0000_7000n);
    m.s.set64(L.MSR_LSTAR, 0xffff800000001000n);
    m.s.set64(L.MSR_CSTAR, 0x2000n);
    m.s.set64(L.MSR_SFMASK, 0x47700n);
    return m;
  }
  it('SYSCALL from 64-bit code', () => {
    const m = withStar(3, 0x246 | FLAG.RF);
    m.run('0f 05');
    expect([m.s.rip, m.s.reg(REG.RCX), m.s.reg(REG.R11)]).toEqual([0xffff800000001000n, BigInt(CODE + 2), 0x246n]);
    expect([m.s.selector(SEG.CS), m.s.selector(SEG.SS), m.s.cpl, m.s.eflags]).toEqual([0x50, 0x58, 0, 0x46]);
    expect([m.s.attributes(SEG.CS), m.s.attributes(SEG.SS)]).toEqual([0xa09b, 0xc093]);
  });
  it('SYSCALL from compatibility mode goes to CSTAR', () => {
    const m = withStar(3);
    m.s.setSegment(SEG.CS, SEL.CODE3, 0n, 0xffffffff, 0xc0fb);
    m.run('0f 05');
    expect([m.s.rip, m.s.is64]).toEqual([0x2000n, true]);
  });
  it('SYSCALL in legacy mode goes to STAR', () => {
    const m = new Machine().protected32(3, 0x246);
    m.s.set64(L.EFER, BigInt(EFER.SCE));
    m.s.set64(L.MSR_STAR, 0x0043_0050_0000_7000n);
    m.run('0f 05');
    expect([m.s.rip, m.s.reg(REG.RCX), m.s.eflags, m.s.cpl]).toEqual([0x7000n, BigInt(CODE + 2), 0x46, 0]);
  });
  it('SYSCALL and SYSRET without EFER.SCE are #UD', () => {
    const m = withStar(0);
    m.s.set64(L.EFER, BigInt(EFER.LME | EFER.LMA));
    expect(m.fault('0f 05').vector).toBe(VECTOR.UD);
    expect(m.fault('48 0f 07').vector).toBe(VECTOR.UD);
  });
  it('SYSRET to 64-bit and 32-bit code', () => {
    const m = withStar(0);
    m.s.setReg(REG.RCX, 0x9000n);
    m.s.setReg(REG.R11, 0x3f7fd7n | 0x10000n);
    m.run('48 0f 07');
    expect([m.s.rip, m.s.selector(SEG.CS), m.s.selector(SEG.SS), m.s.cpl]).toEqual([0x9000n, 0x53, 0x4b, 3]);
    expect([m.s.eflags, m.s.attributes(SEG.CS)]).toEqual([0x3c7fd7 & 0x3f7fd7, 0xa0fb]);
    const n = withStar(0);
    n.s.setReg(REG.RCX, 0x1_0000_9000n);
    n.s.setReg(REG.R11, 0x202n);
    n.run('0f 07');
    expect([n.s.rip, n.s.selector(SEG.CS), n.mode]).toEqual([0x9000n, 0x43, 32]);
  });
  it('SYSRET checks privilege and RCX', () => {
    expect(withStar(3).fault('48 0f 07')).toMatchObject({ vector: VECTOR.GP, error: 0 });
    const m = withStar(0);
    m.s.setReg(REG.RCX, 1n << 47n);
    expect(m.fault('48 0f 07')).toMatchObject({ vector: VECTOR.GP, error: 0 });
  });
  it('SYSCALL then SYSRET is the identity', () => {
    const m = withStar(3);
    m.s.setSegment(SEG.CS, 0x53, 0n, 0xffffffff, 0xa0fb);
    m.s.setSegment(SEG.SS, 0x4b, 0n, 0xffffffff, 0xc0f3);
    m.run('0f 05');
    m.run('48 0f 07');
    expect([m.s.rip, m.s.eflags, m.s.selector(SEG.CS), m.s.selector(SEG.SS)]).toEqual([BigInt(CODE + 2), 0x246, 0x53, 0x4b]);
  });
  it('SYSENTER and SYSEXIT, 32 and 64 bit', () => {
    const m = new Machine().protected32(3, 0x246);
    m.s.set64(L.MSR_SYSENTER_CS, 8n);
    m.s.set64(L.MSR_SYSENTER_ESP, 0x7000n);
    m.s.set64(L.MSR_SYSENTER_EIP, 0x9000n);
    m.run('0f 34');
    expect([...where(m), m.s.reg(REG.RSP), m.s.selector(SEG.SS), m.s.eflags]).toEqual([8, 0x9000n, 0, 0x7000n, 0x10, 0x46]);
    m.s.setReg(REG.RDX, 0x1234n);
    m.s.setReg(REG.RCX, 0x5678n);
    m.run('0f 35');
    expect([...where(m), m.s.reg(REG.RSP), m.s.selector(SEG.SS)]).toEqual([0x1b, 0x1234n, 3, 0x5678n, 0x23]);
    const n = new Machine().long64();
    n.s.set64(L.MSR_SYSENTER_CS, 8n);
    n.s.setReg(REG.RDX, 0x7fff00001234n);
    n.run('48 0f 35');
    expect([...where(n), n.mode]).toEqual([0x2b, 0x7fff00001234n, 3, 64]);
  });
  it('SYSENTER needs protected mode and a selector; SYSEXIT privilege', () => {
    expect(new Machine().real().fault('0f 34')).toMatchObject({ vector: VECTOR.GP, error: 0 });
    expect(new Machine().protected32(3).fault('0f 34')).toMatchObject({ vector: VECTOR.GP, error: 0 });
    const m = new Machine().protected32(3);
    m.s.set64(L.MSR_SYSENTER_CS, 8n);
    expect(m.fault('0f 35')).toMatchObject({ vector: VECTOR.GP, error: 0 });
  });
});
