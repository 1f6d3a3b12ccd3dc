import { describe, expect, it } from 'vitest';
import { Flow } from '../../../src/cpu/context.ts';
import { VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CR0, CR4, FLAG, REG, SEG } from '../../../src/cpu/state.ts';
import { GDT, LDT, Machine, SEL, STACK0 } from './machine.ts';

const AX = REG.RAX;
/** MOV Sreg, AX for each register. */
const MOV_ES = '8e c0';
const MOV_SS = '8e d0';
const MOV_DS = '8e d8';

function withAx(m: Machine, value: number): Machine {
  m.s.setReg32(AX, value);
  return m;
}

describe('MOV Sreg in real and virtual-8086 mode', () => {
  it('sets only the base, so that a 4 GiB limit survives (unreal mode)', () => {
    const m = withAx(new Machine().real(), 0x1234);
    m.s.setSegment(SEG.DS, 0, 0n, 0xffffffff, 0xc093);
    m.run(MOV_DS);
    expect([m.s.selector(SEG.DS), m.s.base(SEG.DS), m.s.limit(SEG.DS)]).toEqual([0x1234, 0x12340n, 0xffffffff]);
  });
  it('makes a segment usable again that protected mode had nulled', () => {
    const m = withAx(new Machine().real(), 0x10);
    m.s.setSegment(SEG.DS, 0, 0n, 0, 0x10000);
    m.run(MOV_DS);
    expect([m.s.limit(SEG.DS), m.s.attributes(SEG.DS)]).toEqual([0xffff, 0x93]);
  });
  it('gives 64 KiB segments of privilege 3 in virtual-8086 mode', () => {
    const m = withAx(new Machine().vm86(), 0x1234);
    m.s.setSegment(SEG.DS, 0, 0n, 0xffffffff, 0xc093);
    m.run(MOV_DS);
    expect([m.s.base(SEG.DS), m.s.limit(SEG.DS), m.s.attributes(SEG.DS)]).toEqual([0x12340n, 0xffff, 0xf3]);
  });
});

describe('MOV Sreg in protected mode', () => {
  it('loads a data segment from the GDT and marks it accessed', () => {
    const m = withAx(new Machine().protected32(), 0xa0);
    m.gdt(20, 0x12345678, 0xabcde, 0x92, 0x4);
    m.run(MOV_ES);
    expect([m.s.base(SEG.ES), m.s.limit(SEG.ES), m.s.attributes(SEG.ES)]).toEqual([0x12345678n, 0xabcde, 0x4093]);
    expect(m.mem.view.getUint8(GDT + 0xa5)).toBe(0x93);
  });
  it('loads from the LDT', () => {
    const m = withAx(new Machine().protected32(), 0x0c);
    m.s.setSegment(SEG.LDTR, SEL.LDT, BigInt(LDT), 0xff, 0x82);
    m.descriptor(LDT, 1, 0x7000, 0xff, 0x93, 0);
    m.run(MOV_ES);
    expect(m.s.base(SEG.ES)).toBe(0x7000n);
  });
  it('null makes a data segment unusable', () => {
    const m = withAx(new Machine().protected32(), 3);
    m.run(MOV_DS);
    expect([m.s.selector(SEG.DS), m.s.attributes(SEG.DS)]).toEqual([3, 0x10000]);
  });
  it('an accessed bit on a read-only page faults', () => {
    const m = withAx(new Machine().protected32(), 0xa0);
    m.gdt(20, 0, 0xff, 0x92, 0);
    m.mem.readOnly.add(GDT >> 12);
    expect(m.fault(MOV_ES)).toMatchObject({ vector: VECTOR.PF, error: 3 });
  });
  const { GP, NP, SS } = VECTOR;
  const data: [string, number, number, number, number, ((m: Machine) => void)?][] = [
    ['beyond the GDT', 0x400, 0, GP, 0x400],
    ['beyond the GDT by its last byte', 0xa0, 0, GP, 0xa0, (m) => m.s.set32(L.GDTR_LIMIT, 0xa6)],
    ['an unusable LDT', 0x0c, 0, GP, 0x0c],
    ['a system descriptor', SEL.TSS, 0, GP, SEL.TSS],
    ['execute-only code', 0xa0, 0, GP, 0xa0, (m) => m.gdt(20, 0, 0xff, 0x99)],
    ['RPL above DPL', SEL.DATA0 | 3, 0, GP, SEL.DATA0],
    ['CPL above DPL', SEL.DATA0, 3, GP, SEL.DATA0],
    ['readable non-conforming code above', SEL.CODE0, 3, GP, SEL.CODE0],
    ['not present', 0xa0, 0, NP, 0xa0, (m) => m.gdt(20, 0, 0xff, 0x13)],
  ];
  it.each(data)('DS faults: %s', (_name, selector, cpl, vector, error, set) => {
    const m = withAx(new Machine().protected32(cpl), selector);
    set?.(m);
    expect(m.fault(MOV_DS)).toMatchObject({ vector, error });
  });
  it('readable conforming code is data for everyone', () => {
    const m = withAx(new Machine().protected32(3), SEL.CONFORMING | 3);
    m.run(MOV_DS);
    expect(m.s.selector(SEG.DS)).toBe(SEL.CONFORMING | 3);
  });
  const stack: [string, number, number, number, number, ((m: Machine) => void)?][] = [
    ['null', 0, 0, GP, 0],
    ['RPL is not CPL', SEL.DATA0 | 1, 0, GP, SEL.DATA0],
    ['DPL is not CPL', SEL.DATA3 & ~3, 0, GP, SEL.DATA3 & ~3],
    ['read-only data', 0xa0, 0, GP, 0xa0, (m) => m.gdt(20, 0, 0xff, 0x91)],
    ['code', SEL.CODE0, 0, GP, SEL.CODE0],
    ['not present', 0xa0, 0, SS, 0xa0, (m) => m.gdt(20, 0, 0xff, 0x13)],
  ];
  it.each(stack)('SS faults: %s', (_name, selector, cpl, vector, error, set) => {
    const m = withAx(new Machine().protected32(cpl), selector);
    set?.(m);
    expect(m.fault(MOV_SS)).toMatchObject({ vector, error });
  });
  it('a null SS is allowed in 64-bit mode at CPL 0 with RPL 0 only', () => {
    const m = withAx(new Machine().long64(), 0);
    m.run(MOV_SS);
    expect(m.s.attributes(SEG.SS)).toBe(0x10000);
    expect(withAx(new Machine().long64(), 3).fault(MOV_SS)).toMatchObject({ vector: GP, error: 0 });
    expect(withAx(new Machine().long64(3), 3).fault(MOV_SS)).toMatchObject({ vector: GP, error: 0 });
  });
  it('MOV SS holds interrupts off until the next instruction has retired', () => {
    const m = withAx(new Machine().protected32(), SEL.DATA0);
    m.run(MOV_SS);
    expect([m.s.get32(L.INTERRUPT_SHADOW), m.s.f64[L.SHADOW_TICK >> 3]]).toEqual([1, 1001]);
    const n = withAx(new Machine().protected32(), SEL.DATA0);
    n.run(MOV_DS);
    expect(n.s.get32(L.INTERRUPT_SHADOW)).toBe(0);
  });
  it('MOV r, Sreg zero-extends; MOV m, Sreg writes two bytes', () => {
    const m = withAx(new Machine().long64(), 0);
    m.s.setReg(AX, 0xffffffffffffffffn);
    m.run('8c d8');
    expect(m.s.reg(AX)).toBe(BigInt(SEL.DATA0));
    m.s.setReg(AX, 0xffffffffffffffffn);
    m.run('66 8c d8');
    expect(m.s.reg(AX)).toBe(0xffffffffffff0010n);
    m.mem.put32(0x6000, 0xffffffff);
    m.run('8c 1c 25 00 60 00 00');
    expect(m.mem.get32(0x6000)).toBe(0xffff0010);
  });
});

describe('PUSH and POP Sreg', () => {
  it('a 32-bit push writes only the low word', () => {
    const m = new Machine().protected32();
    const top = Number(m.s.reg(REG.RSP));
    m.mem.put32(top - 4, 0xffffffff);
    m.run('1e');
    expect([Number(m.s.reg(REG.RSP)), m.mem.get32(top - 4)]).toEqual([top - 4, 0xffff0010]);
  });
  it('64-bit: PUSH FS, POP GS', () => {
    const m = new Machine().long64();
    m.run('0f a0');
    expect(m.mem.get64(Number(m.s.reg(REG.RSP)))).toBe(BigInt(SEL.DATA0));
    m.run('0f a9');
    expect([m.s.selector(SEG.GS), m.s.reg(REG.RSP)]).toEqual([SEL.DATA0, BigInt(STACK0 - 0x800)]);
  });
  it('POP that faults leaves the pointer', () => {
    const m = new Machine().protected32().pushAll(4, SEL.CODE3 & ~3);
    m.mem.put32(Number(m.s.reg(REG.RSP)), 0x400);
    expect(m.fault('1f')).toMatchObject({ vector: VECTOR.GP, error: 0x400 });
  });
  it('POP SS shadows the next instruction', () => {
    const m = new Machine().protected32().pushAll(4, SEL.DATA0);
    m.run('17');
    expect(m.s.get32(L.INTERRUPT_SHADOW)).toBe(1);
  });
});

describe('LDS LES LSS LFS LGS', () => {
  it('load both halves', () => {
    const m = new Machine().protected32();
    m.mem.put32(0x6000, 0x12345678);
    m.mem.put16(0x6004, SEL.DATA3 & ~3);
    m.run('c4 05 00 60 00 00');
    expect([m.s.selector(SEG.ES), m.s.reg(AX)]).toEqual([SEL.DATA3 & ~3, 0x12345678n]);
  });
  it('no 64-bit offsets, as on AMD: REX.W leaves m16:32', () => {
    const m = new Machine().long64();
    m.mem.put32(0x6000, 0x9abcdef0);
    m.mem.put16(0x6004, SEL.DATA0);
    m.run('48 0f b4 04 25 00 60 00 00');
    expect([m.s.selector(SEG.FS), m.s.reg(AX)]).toEqual([SEL.DATA0, 0x9abcdef0n]);
  });
  it('a bad selector changes neither', () => {
    const m = new Machine().protected32();
    m.mem.put32(0x6000, 0x12345678);
    m.mem.put16(0x6004, 0x400);
    expect(m.fault('0f b2 05 00 60 00 00')).toMatchObject({ vector: VECTOR.GP, error: 0x400 });
  });
});

describe('LGDT LIDT SGDT SIDT', () => {
  it('32-bit, 16-bit operand (24-bit base) and 64-bit', () => {
    const m = new Machine().protected32();
    m.mem.put16(0x6000, 0x1ff);
    m.mem.put32(0x6002, 0xaabbccdd);
    m.run('0f 01 15 00 60 00 00');
    expect([m.s.get64(L.GDTR_BASE), m.s.get32(L.GDTR_LIMIT)]).toEqual([0xaabbccddn, 0x1ff]);
    m.run('66 0f 01 1d 00 60 00 00');
    expect(m.s.get64(L.IDTR_BASE)).toBe(0xbbccddn);
    const n = new Machine().long64();
    n.mem.put16(0x6000, 0xfff);
    n.mem.put64(0x6002, 0xffff800012345678n);
    n.run('0f 01 1c 25 00 60 00 00');
    expect([n.s.get64(L.IDTR_BASE), n.s.get32(L.IDTR_LIMIT)]).toEqual([0xffff800012345678n, 0xfff]);
    n.run('0f 01 0c 25 00 61 00 00');
    expect([n.mem.get16(0x6100), n.mem.get64(0x6102)]).toEqual([0xfff, 0xffff800012345678n]);
  });
  it('privilege, canonical base, UMIP', () => {
    expect(new Machine().protected32(3).fault('0f 01 15 00 60 00 00')).toMatchObject({ vector: VECTOR.GP, error: 0 });
    const m = new Machine().long64();
    m.mem.put64(0x6002, 1n << 47n);
    expect(m.fault('0f 01 14 25 00 60 00 00')).toMatchObject({ vector: VECTOR.GP, error: 0 });
    const user = new Machine().protected32(3);
    user.run('0f 01 05 00 60 00 00');
    expect(user.mem.get16(0x6000)).toBe(0x3ff);
    user.s.set64(L.CR4, BigInt(CR4.UMIP));
    for (const code of ['0f 01 05 00 60 00 00', '0f 01 0d 00 60 00 00', '0f 00 c0', '0f 00 c8', '0f 01 e0']) {
      expect(user.fault(code)).toMatchObject({ vector: VECTOR.GP, error: 0 });
    }
  });
});

describe('LLDT LTR SLDT STR', () => {
  it('load, store, and mark the task busy', () => {
    const m = withAx(new Machine().protected32(), SEL.LDT);
    m.run('0f 00 d0');
    expect([m.s.base(SEG.LDTR), m.s.limit(SEG.LDTR)]).toEqual([BigInt(LDT), 0xff]);
    m.gdt(20, 0x5000, 0x67, 0x89);
    withAx(m, 0xa0).run('0f 00 d8');
    expect([m.s.base(SEG.TR), m.s.attributes(SEG.TR), m.mem.view.getUint8(GDT + 0xa5)]).toEqual([0x5000n, 0x8b, 0x8b]);
    m.run('0f 00 c8');
    expect(m.s.reg(AX)).toBe(0xa0n);
    m.run('0f 00 c0');
    expect(m.s.reg(AX)).toBe(BigInt(SEL.LDT));
  });
  it('16-byte descriptors in long mode', () => {
    const m = withAx(new Machine().long64(), 0xa0);
    m.gdt(20, 0x5000, 0x67, 0x89);
    m.mem.put64(GDT + 0xa8, 0xffff8000n);
    m.run('0f 00 d8');
    expect(m.s.base(SEG.TR)).toBe(0xffff800000005000n);
  });
  const { GP, NP, UD } = VECTOR;
  const faults: [string, string, number, (m: Machine) => void, number, number][] = [
    ['LLDT of a TSS', '0f 00 d0', SEL.TSS, () => {}, GP, SEL.TSS],
    ['LLDT from the LDT', '0f 00 d0', 0x0c, () => {}, GP, 0x0c],
    ['LLDT not present', '0f 00 d0', 0xa0, (m) => m.gdt(20, 0, 0xff, 0x02), NP, 0xa0],
    ['LTR null', '0f 00 d8', 0, () => {}, GP, 0],
    ['LTR busy', '0f 00 d8', SEL.TSS, () => {}, GP, SEL.TSS],
    ['LTR of an LDT', '0f 00 d8', SEL.LDT, () => {}, GP, SEL.LDT],
    ['LTR not present', '0f 00 d8', 0xa0, (m) => m.gdt(20, 0, 0x67, 0x09), NP, 0xa0],
    ['LTR beyond', '0f 00 d8', 0x400, () => {}, GP, 0x400],
    ['LTR at CPL 3', '0f 00 d8', 0xa0, (m) => m.s.set32(L.CPL, 3), GP, 0],
    ['LLDT in real mode', '0f 00 d0', 0, (m) => m.s.set64(L.CR0, BigInt(CR0.ET)), UD, -1],
    ['SLDT in VM86', '0f 00 c0', 0, (m) => (m.s.eflags |= FLAG.VM), UD, -1],
  ];
  it.each(faults)('faults: %s', (_name, code, selector, set, vector, error) => {
    const m = withAx(new Machine().protected32(), selector);
    set(m);
    expect(m.fault(code)).toMatchObject({ vector, error });
  });
  it('long mode: upper half with a type, or a 16-bit TSS', () => {
    const m = withAx(new Machine().long64(), 0xa0);
    m.gdt(20, 0x5000, 0x67, 0x89);
    m.mem.put64(GDT + 0xa8, 0x100000000000n);
    expect(m.fault('0f 00 d8')).toMatchObject({ vector: GP, error: 0xa0 });
    m.gdt(20, 0x5000, 0x67, 0x81);
    m.mem.put64(GDT + 0xa8, 0n);
    expect(m.fault('0f 00 d8')).toMatchObject({ vector: GP, error: 0xa0 });
  });
  it('LLDT null makes the LDT unusable', () => {
    const m = withAx(new Machine().protected32(), 0);
    m.run('0f 00 d0');
    expect(m.s.attributes(SEG.LDTR)).toBe(0x10000);
  });
});

describe('LAR LSL VERR VERW ARPL', () => {
  const zf = (m: Machine): boolean => (m.s.eflags & FLAG.ZF) !== 0;
  it('LAR and LSL give rights and limit of what is visible', () => {
    const m = withAx(new Machine().protected32(), SEL.CODE0);
    m.run('0f 02 c8');
    expect([zf(m), m.s.reg(REG.RCX)]).toEqual([true, 0xcf9b00n]);
    m.run('0f 03 c8');
    expect(m.s.reg(REG.RCX)).toBe(0xffffffffn);
    m.run('66 0f 02 c8');
    expect(m.s.reg(REG.RCX)).toBe(0xffff9b00n);
  });
  const visible: [string, number, number, boolean, boolean, boolean, boolean][] = [
    // name, selector, cpl, LAR, LSL, VERR, VERW
    ['null', 0, 0, false, false, false, false],
    ['beyond', 0x400, 0, false, false, false, false],
    ['data', SEL.DATA0, 0, true, true, true, true],
    ['data, RPL 3', SEL.DATA0 | 3, 0, false, false, false, false],
    ['data, CPL 3', SEL.DATA0, 3, false, false, false, false],
    ['conforming code, CPL 3', SEL.CONFORMING, 3, true, true, true, false],
    ['TSS', SEL.TSS, 0, true, true, false, false],
    ['LDT', SEL.LDT, 0, true, true, false, false],
    ['call gate', 0xa0, 0, true, false, false, false],
    ['interrupt gate', 0xa8, 0, false, false, false, false],
    ['read-only data', 0xb0, 0, true, true, true, false],
    ['execute-only code', 0xb8, 0, true, true, false, false],
  ];
  it.each(visible)('%s', (_name, selector, cpl, ...expected) => {
    const m = withAx(new Machine().protected32(cpl), selector);
    m.gate(GDT, 20, SEL.CODE0, 0, 0x8c);
    m.gate(GDT, 21, SEL.CODE0, 0, 0x8e);
    m.gdt(22, 0, 0xff, 0x91);
    m.gdt(23, 0, 0xff, 0x99);
    const seen = ['0f 02 c8', '0f 03 c8', '0f 00 e0', '0f 00 e8'].map((code) => {
      m.run(code);
      return zf(m);
    });
    expect(seen).toEqual(expected);
  });
  it('long mode knows fewer system types', () => {
    const m = withAx(new Machine().long64(), 0xa0);
    m.gdt(20, 0, 0x67, 0x81);
    m.mem.put64(GDT + 0xa8, 0n);
    m.run('0f 02 c8');
    expect(zf(m)).toBe(false);
    m.gdt(20, 0, 0x67, 0x89);
    m.run('0f 02 c8');
    expect(zf(m)).toBe(true);
  });
  it('ARPL raises the RPL', () => {
    const m = withAx(new Machine().protected32(), 0x10);
    m.s.setReg32(REG.RCX, 3);
    m.run('63 c8');
    expect([m.s.reg(AX), zf(m)]).toEqual([0x13n, true]);
    m.run('63 c8');
    expect([m.s.reg(AX), zf(m)]).toEqual([0x13n, false]);
  });
  it('none of them exists in real mode', () => {
    for (const code of ['0f 02 c8', '0f 03 c8', '0f 00 e0', '0f 00 e8', '63 c8']) {
      expect(new Machine().real().fault(code).vector).toBe(VECTOR.UD);
    }
  });
});

describe('LMSW SMSW CLTS', () => {
  it('LMSW sets PE but does not clear it', () => {
    const m = withAx(new Machine().real(), 0xfff1);
    m.run('0f 01 f0');
    expect(m.s.cr0).toBe(CR0.ET | 1);
    withAx(m, 0xe).run('0f 01 f0');
    expect(m.s.cr0).toBe(CR0.ET | 0xf);
    m.run('0f 06');
    expect(m.s.cr0).toBe(CR0.ET | 7);
  });
  it('SMSW stores CR0 at operand size', () => {
    const m = new Machine().long64();
    m.s.setReg(AX, 0xffffffffffffffffn);
    m.run('48 0f 01 e0');
    expect(m.s.reg(AX)).toBe(0x80000011n);
  });
  it('LMSW and CLTS need CPL 0', () => {
    for (const code of ['0f 01 f0', '0f 06']) {
      expect(new Machine().protected32(3).fault(code)).toMatchObject({ vector: VECTOR.GP, error: 0 });
    }
    expect(new Machine().protected32().run('0f 06')).toBe(Flow.NEXT);
  });
});
