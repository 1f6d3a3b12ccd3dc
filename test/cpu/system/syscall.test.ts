import { describe, expect, it } from 'vitest';
import { VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { EFER, FLAG, REG, SEG } from '../../../src/cpu/state.ts';
import { CODE, Machine, SEL } from './machine.ts';

const where = (m: Machine): [number, bigint, number] => [m.s.selector(SEG.CS), m.s.rip, m.s.cpl];

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
    expect([m.s.rip, m.s.eflags, m.s.selector(SEG.CS), m.s.selector(SEG.SS)]).toEqual([
      BigInt(CODE + 2),
      0x246,
      0x53,
      0x4b,
    ]);
  });
  it('SYSENTER and SYSEXIT, in legacy mode only, as on AMD', () => {
    const m = new Machine().protected32(3, 0x246);
    m.s.set64(L.MSR_SYSENTER_CS, 8n);
    m.s.set64(L.MSR_SYSENTER_ESP, 0x7000n);
    m.s.set64(L.MSR_SYSENTER_EIP, 0x9000n);
    m.run('0f 34');
    expect([...where(m), m.s.reg(REG.RSP), m.s.selector(SEG.SS), m.s.eflags]).toEqual([
      8,
      0x9000n,
      0,
      0x7000n,
      0x10,
      0x46,
    ]);
    m.s.setReg(REG.RDX, 0x1234n);
    m.s.setReg(REG.RCX, 0x5678n);
    m.run('0f 35');
    expect([...where(m), m.s.reg(REG.RSP), m.s.selector(SEG.SS)]).toEqual([0x1b, 0x1234n, 3, 0x5678n, 0x23]);
    const n = new Machine().long64();
    n.s.set64(L.MSR_SYSENTER_CS, 8n);
    for (const code of ['0f 34', '0f 35', '48 0f 35']) expect(n.fault(code)).toMatchObject({ vector: VECTOR.UD });
  });
  it('SYSENTER needs protected mode and a selector; SYSEXIT privilege', () => {
    expect(new Machine().real().fault('0f 34')).toMatchObject({ vector: VECTOR.GP, error: 0 });
    expect(new Machine().protected32(3).fault('0f 34')).toMatchObject({ vector: VECTOR.GP, error: 0 });
    const m = new Machine().protected32(3);
    m.s.set64(L.MSR_SYSENTER_CS, 8n);
    expect(m.fault('0f 35')).toMatchObject({ vector: VECTOR.GP, error: 0 });
  });
});
