import { describe, expect, it } from 'vitest';
import { Flow } from '../../../src/cpu/context.ts';
import { VECTOR } from '../../../src/cpu/fault.ts';
import { REG, SEG } from '../../../src/cpu/state.ts';
import { CODE, GDT, Machine, SEL, STACK0, STACK3, TSS } from './machine.ts';

const where = (m: Machine): [number, bigint, number] => [m.s.selector(SEG.CS), m.s.rip, m.s.cpl];
const le = (value: number | bigint, bytes: number): string => {
  let out = '';
  for (let i = 0; i < bytes; i++)
    out += Number((BigInt(value) >> BigInt(8 * i)) & 0xffn)
      .toString(16)
      .padStart(2, '0');
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
  it('takes its operand from memory, 16 or 32 bits wide, REX.W or not', () => {
    const m = new Machine().long64();
    m.mem.put32(0x6000, 0x9abc);
    m.mem.put16(0x6004, SEL.LONG0);
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
    expect([m.s.selector(SEG.ES), m.s.base(SEG.FS), m.s.selector(SEG.GS)]).toEqual([
      SEL.DATA3,
      0x1234n,
      SEL.CONFORMING,
    ]);
  });
});
