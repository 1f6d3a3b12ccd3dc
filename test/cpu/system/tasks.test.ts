import { describe, expect, it } from 'vitest';
import { VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CR0, FLAG, REG, SEG } from '../../../src/cpu/state.ts';
import { CODE, GDT, LDT, Machine, SEL, TSS } from './machine.ts';

const NEW = 0x5000;
const NEW_SELECTOR = 20 * 8;
const JMP = 'ea 00 00 00 00 a0 00';
const CALL = '9a 00 00 00 00 a0 00';

/** A second, available 32-bit task that would run at 0xb000 in privilege 0. */
function withTask(m: Machine): Machine {
  m.gdt(20, NEW, 0x67, 0x89);
  m.mem.put32(NEW + 0x20, 0xb000);
  m.mem.put32(NEW + 0x24, 0x202);
  for (let i = 0; i < 8; i++) m.mem.put32(NEW + 0x28 + i * 4, 0x1000 * (i + 1));
  m.mem.put32(NEW + 0x38, 0x18000);
  for (const at of [0x48, 0x50, 0x54, 0x58, 0x5c]) m.mem.put32(NEW + at, SEL.DATA0);
  m.mem.put32(NEW + 0x4c, SEL.CODE0);
  return m;
}
const access = (m: Machine, selector: number): number => m.mem.view.getUint8(GDT + selector + 5);

describe('task switches', () => {
  it('JMP: the old task is saved and free, the new one busy', () => {
    const m = withTask(new Machine().protected32(0, 0x246));
    m.s.setReg32(REG.RBX, 0x12345678);
    m.run(JMP);
    expect([m.s.rip, m.s.eflags, m.s.reg(REG.RSP), m.s.selector(SEG.TR)]).toEqual([
      0xb000n,
      0x202,
      0x18000n,
      NEW_SELECTOR,
    ]);
    expect([m.s.reg(REG.RAX), m.s.reg(REG.RDI)]).toEqual([0x1000n, 0x8000n]);
    expect([access(m, SEL.TSS), access(m, NEW_SELECTOR)]).toEqual([0x89, 0x8b]);
    expect([m.mem.get32(TSS + 0x20), m.mem.get32(TSS + 0x24), m.mem.get32(TSS + 0x34)]).toEqual([
      CODE + 7,
      0x246,
      0x12345678,
    ]);
    expect([m.mem.get16(TSS + 0x4c), m.mem.get16(TSS + 0x50)]).toEqual([SEL.CODE0, SEL.DATA0]);
    expect(m.s.cr0 & CR0.TS).toBe(CR0.TS);
    expect(m.mem.get16(NEW)).toBe(0);
  });
  it('CALL links back and sets NT; IRET returns', () => {
    const m = withTask(new Machine().protected32());
    m.run(CALL);
    expect([m.mem.get16(NEW), m.s.eflags & FLAG.NT, access(m, SEL.TSS)]).toEqual([SEL.TSS, FLAG.NT, 0x8b]);
    m.run('cf');
    expect([m.s.rip, m.s.selector(SEG.TR), m.s.eflags & FLAG.NT]).toEqual([BigInt(CODE + 7), SEL.TSS, 0]);
    expect([access(m, SEL.TSS), access(m, NEW_SELECTOR)]).toEqual([0x8b, 0x89]);
    expect(m.mem.get32(NEW + 0x24) & FLAG.NT).toBe(0);
  });
  it('through a task gate, by its privilege', () => {
    const m = withTask(new Machine().protected32(3));
    m.gate(GDT, 21, NEW_SELECTOR, 0, 0xe5);
    m.run('9a 00 00 00 00 ab 00');
    expect([m.s.rip, m.s.cpl]).toEqual([0xb000n, 0]);
    const n = withTask(new Machine().protected32(3));
    n.gate(GDT, 21, NEW_SELECTOR, 0, 0x85);
    expect(n.fault('9a 00 00 00 00 ab 00')).toMatchObject({ vector: VECTOR.GP, error: 0xa8 });
    expect(n.fault(CALL)).toMatchObject({ vector: VECTOR.GP, error: NEW_SELECTOR });
  });
  it('to a 16-bit task', () => {
    const m = new Machine().protected32();
    m.gdt(20, NEW, 0x2b, 0x81);
    m.mem.put16(NEW + 0x0e, 0xb000);
    m.mem.put16(NEW + 0x10, 0x202);
    m.mem.put16(NEW + 0x1a, 0x7000);
    for (const at of [0x22, 0x26, 0x28]) m.mem.put16(NEW + at, SEL.DATA0);
    m.mem.put16(NEW + 0x24, SEL.CODE16);
    m.run(JMP);
    expect([m.s.rip, m.s.reg(REG.RSP), m.mode, m.s.attributes(SEG.FS)]).toEqual([0xb000n, 0x7000n, 16, 0x10000]);
  });
  it('to a virtual-8086 task', () => {
    const m = withTask(new Machine().protected32());
    m.mem.put32(NEW + 0x24, 0x20202);
    m.mem.put32(NEW + 0x4c, 0xb00);
    m.mem.put32(NEW + 0x20, 0x12);
    m.run(JMP);
    expect([m.s.cpl, m.s.base(SEG.CS), m.s.attributes(SEG.DS)]).toEqual([3, 0xb000n, 0xf3]);
  });
  it('loads CR3 only with paging', () => {
    const m = withTask(new Machine().protected32());
    m.mem.put32(NEW + 0x1c, 0x7000);
    m.s.set64(L.CR3, 0x1000n);
    m.run(JMP);
    expect(m.s.cr3).toBe(0x1000n);
    const n = withTask(new Machine().protected32());
    n.mem.put32(NEW + 0x1c, 0x7000);
    n.s.set64(L.CR0, 0x80000011n);
    n.run(JMP);
    expect([n.s.cr3, n.flushes]).toEqual([0x7000n, ['nonglobal']]);
  });
  it('loads the LDT of the task', () => {
    const m = withTask(new Machine().protected32());
    m.mem.put32(NEW + 0x60, SEL.LDT);
    m.descriptor(LDT, 1, 0x100, 0xfffff, 0x93, 0xc);
    m.mem.put32(NEW + 0x54, 0x0c);
    m.run(JMP);
    expect([m.s.selector(SEG.LDTR), m.s.base(SEG.DS)]).toEqual([SEL.LDT, 0x100n]);
  });
  it('the T bit pends a debug trap', () => {
    const m = withTask(new Machine().protected32());
    m.mem.put16(NEW + 0x64, 1);
    m.run(JMP);
    expect(m.s.get32(L.PENDING_DEBUG)).toBe(0x8000);
  });
  it('clears local breakpoints', () => {
    const m = withTask(new Machine().protected32());
    m.s.set64(L.DR + 56, 0x7ffn);
    m.run(JMP);
    expect(m.s.get64(L.DR + 56)).toBe(0x6aan);
  });
});

describe('task switch faults', () => {
  it('before the switch nothing has changed', () => {
    const short = withTask(new Machine().protected32());
    short.gdt(20, NEW, 0x66, 0x89);
    expect(short.fault(JMP)).toMatchObject({ vector: VECTOR.TS, error: NEW_SELECTOR });
    const absent = withTask(new Machine().protected32());
    absent.gdt(20, NEW, 0x67, 0x09);
    expect(absent.fault(JMP)).toMatchObject({ vector: VECTOR.NP, error: NEW_SELECTOR });
    const unmapped = withTask(new Machine().protected32());
    unmapped.mem.missing.add(NEW >> 12);
    expect(unmapped.fault(JMP)).toMatchObject({ vector: VECTOR.PF, error: 0 });
  });
  const { TS, NP, SS, GP } = VECTOR;
  const late: [string, number, number, number, number, ((m: Machine) => void)?][] = [
    ['LDT is no LDT', 0x60, SEL.TSS, TS, SEL.TSS],
    ['LDT not present', 0x60, 0xa8, TS, 0xa8, (m) => m.gdt(21, 0, 0xff, 0x02)],
    ['CS null', 0x4c, 0, TS, 0],
    ['CS is data', 0x4c, SEL.DATA0, TS, SEL.DATA0],
    ['CS of another privilege', 0x4c, SEL.CODE3 & ~3, TS, SEL.CODE3 & ~3],
    ['CS not present', 0x4c, 0xa8, NP, 0xa8, (m) => m.gdt(21, 0, 0xfffff, 0x1b, 0xc)],
    ['SS null', 0x50, 0, TS, 0],
    ['SS is code', 0x50, SEL.CODE0, TS, SEL.CODE0],
    ['SS not present', 0x50, 0xa8, SS, 0xa8, (m) => m.gdt(21, 0, 0xfffff, 0x13, 0xc)],
    ['DS beyond the GDT', 0x54, 0x400, TS, 0x400],
    ['ES not present', 0x48, 0xa8, NP, 0xa8, (m) => m.gdt(21, 0, 0xfffff, 0x13, 0xc)],
    ['EIP beyond the limit', 0x4c, SEL.CODE16, GP, 0, (m) => m.mem.put32(NEW + 0x20, 0x10000)],
  ];
  it.each(late)('in the new task: %s', (_name, at, value, vector, error, set) => {
    const m = withTask(new Machine().protected32());
    m.mem.put32(NEW + at, value);
    set?.(m);
    m.run(JMP);
    expect(m.exits.calls[0]).toBe(`exception ${vector} ${error}`);
    expect(m.s.rip).toBe(BigInt(m.mem.get32(NEW + 0x20)));
    expect([m.s.selector(SEG.TR), m.mem.get32(TSS + 0x20)]).toEqual([NEW_SELECTOR, CODE + 7]);
  });
  it('IRET with NT to a task that is not busy', () => {
    const m = withTask(new Machine().protected32(0, 2 | FLAG.NT));
    m.mem.put16(TSS, NEW_SELECTOR);
    expect(m.fault('cf')).toMatchObject({ vector: VECTOR.TS, error: NEW_SELECTOR });
  });
  it('long mode has no tasks', () => {
    const m = withTask(new Machine().long64());
    m.s.setSegment(SEG.CS, SEL.CODE0, 0n, 0xffffffff, 0xc09b);
    expect(m.fault(JMP)).toMatchObject({ vector: VECTOR.GP, error: NEW_SELECTOR });
  });
});
