import { describe, expect, it } from 'vitest';
import { Flow } from '../../../src/cpu/context.ts';
import { VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CR0, CR4, EFER, REG, SEG } from '../../../src/cpu/state.ts';
import { MSR } from '../../../src/cpu/system/index.ts';
import { Machine } from './machine.ts';

const GP0 = { vector: VECTOR.GP, error: 0 };
/** MOV CRn, RAX and MOV RAX, CRn. */
const toCr = (n: number): string => (n === 8 ? '44 0f 22 c0' : `0f 22 ${(0xc0 + n * 8).toString(16)}`);
const fromCr = (n: number): string => (n === 8 ? '44 0f 20 c0' : `0f 20 ${(0xc0 + n * 8).toString(16)}`);
function withRax(m: Machine, value: bigint | number): Machine {
  m.s.setReg(REG.RAX, BigInt(value));
  return m;
}

describe('MOV CR', () => {
  it('walks the road into long mode and out again', () => {
    const m = new Machine().protected32();
    withRax(m, CR4.PAE).run(toCr(4));
    withRax(m, 0x7000).run(toCr(3));
    wrmsr(m, MSR.EFER, BigInt(EFER.LME));
    withRax(m, 0x80000011n).run(toCr(0));
    expect([m.s.longMode, m.s.is64]).toEqual([true, false]);
    expect(m.s.get64(L.EFER)).toBe(BigInt(EFER.LME | EFER.LMA));
    withRax(m, 0x11n).run(toCr(0));
    expect(m.s.longMode).toBe(false);
    expect(m.s.get64(L.EFER)).toBe(BigInt(EFER.LME));
  });
  const cr0: [string, bigint, (m: Machine) => void][] = [
    ['PG without PE', 0x80000010n, () => {}],
    ['NW without CD', 0x20000011n, () => {}],
    ['PG with LME but not PAE', 0x80000011n, (m) => m.s.set64(L.EFER, BigInt(EFER.LME))],
    [
      'PG with LME over 64-bit CS',
      0x80000011n,
      (m) => {
        m.s.set64(L.EFER, BigInt(EFER.LME));
        m.s.set64(L.CR4, BigInt(CR4.PAE));
        m.s.setSegment(SEG.CS, 8, 0n, 0xffffffff, 0xa09b);
      },
    ],
    [
      'PG with LME over a 16-bit TSS',
      0x80000011n,
      (m) => {
        m.s.set64(L.EFER, BigInt(EFER.LME));
        m.s.set64(L.CR4, BigInt(CR4.PAE));
        m.s.setSegment(SEG.TR, 0x28, 0n, 0xff, 0x83);
      },
    ],
  ];
  it.each(cr0)('CR0 refuses %s', (_name, value, set) => {
    const m = withRax(new Machine().protected32(), value);
    set(m);
    expect(m.fault(toCr(0))).toMatchObject(GP0);
  });
  it('CR0 cannot leave paging from 64-bit code, nor have high bits', () => {
    expect(withRax(new Machine().long64(), 0x11).fault(toCr(0))).toMatchObject(GP0);
    expect(withRax(new Machine().long64(), 0x180000011n).fault(toCr(0))).toMatchObject(GP0);
  });
  it('CR0 keeps ET and ignores reserved bits', () => {
    const m = withRax(new Machine().protected32(), 0x1fffffc1n);
    m.run(toCr(0));
    expect(m.s.get64(L.CR0)).toBe(0x50011n);
    expect(m.flushes).toEqual(['all']);
  });
  it('CR0.WP flushes, TS does not', () => {
    const m = withRax(new Machine().long64(), 0x80000019n);
    m.run(toCr(0));
    expect(m.flushes).toEqual([]);
    withRax(m, 0x80010011n).run(toCr(0));
    expect(m.flushes).toEqual(['all']);
  });
  it('CR3 flushes what is not global; reserved bits fault', () => {
    const m = withRax(new Machine().long64(), 0x12345000n);
    m.run(toCr(3));
    expect([m.s.cr3, m.flushes, m.exits.calls]).toEqual([0x12345000n, ['nonglobal'], ['flush 0']]);
    expect(withRax(m, 1n << 40n).fault(toCr(3))).toMatchObject(GP0);
    expect(withRax(m, 1n << 63n).fault(toCr(3))).toMatchObject(GP0);
    m.s.set64(L.CR4, BigInt(CR4.PAE | CR4.PCIDE));
    withRax(m, (1n << 63n) | 0x5001n).run(toCr(3));
    expect(m.s.cr3).toBe(0x5001n);
  });
  const cr4: [string, number, (m: Machine) => void][] = [
    ['reserved bits', 1 << 15, () => {}],
    ['no PAE in long mode', 0, () => {}],
    ['PCIDE with a PCID in CR3', CR4.PAE | CR4.PCIDE, (m) => m.s.set64(L.CR3, 0x1001n)],
    ['VMXE', CR4.PAE | (1 << 13), () => {}],
  ];
  it.each(cr4)('CR4 refuses %s', (_name, value, set) => {
    const m = withRax(new Machine().long64(), value);
    set(m);
    expect(m.fault(toCr(4))).toMatchObject(GP0);
  });
  it('CR4 flushes when translation changes', () => {
    const m = withRax(new Machine().long64(), CR4.PAE | CR4.PGE);
    m.run(toCr(4));
    expect(m.flushes).toEqual(['all']);
    withRax(m, CR4.PAE | CR4.PGE | CR4.OSFXSR).run(toCr(4));
    expect(m.flushes).toEqual(['all']);
  });
  it('PAE paging loads the PDPTEs where there is such a seam', () => {
    const m = new Machine().protected32();
    const loaded: bigint[] = [];
    Object.assign(m, { loadPdptes: (cr3: bigint) => loaded.push(cr3) });
    withRax(m, CR4.PAE).run(toCr(4));
    withRax(m, 0x7000).run(toCr(3));
    expect(loaded).toEqual([]);
    withRax(m, 0x80000011n).run(toCr(0));
    withRax(m, 0x8000).run(toCr(3));
    expect(loaded).toEqual([0x7000n, 0x8000n]);
  });
  it('CR2 and CR8', () => {
    const m = withRax(new Machine().long64(), 0xffff800000001234n);
    m.run(toCr(2));
    expect(m.s.get64(L.CR2)).toBe(0xffff800000001234n);
    withRax(m, 15).run(toCr(8));
    withRax(m, 0).run(fromCr(8));
    expect(m.s.reg(REG.RAX)).toBe(15n);
    expect(withRax(m, 16).fault(toCr(8))).toMatchObject(GP0);
    m.exits.pending = true;
    expect(withRax(m, 3).run(toCr(8))).toBe(Flow.LEAVE);
    expect(withRax(m, 5).run(toCr(8))).toBe(Flow.NEXT);
  });
  it('reads each register back, at CPL 0 only', () => {
    const m = new Machine().long64();
    m.s.set64(L.CR2, 2n);
    m.s.set64(L.CR3, 0x3000n);
    const seen = [0, 2, 3, 4].map((n) => {
      m.run(fromCr(n));
      return m.s.reg(REG.RAX);
    });
    expect(seen).toEqual([0x80000011n, 2n, 0x3000n, BigInt(CR4.PAE)]);
    for (const n of [0, 2, 3, 4, 8]) expect(new Machine().long64(3).fault(toCr(n))).toMatchObject(GP0);
    expect(new Machine().vm86(3).fault(fromCr(0))).toMatchObject(GP0);
  });
});

function wrmsr(m: Machine, index: number, value: bigint): void {
  setMsrOperand(m, index, value);
  m.run('0f 30');
}
function setMsrOperand(m: Machine, index: number, value: bigint): void {
  m.s.setReg32(REG.RCX, index);
  m.s.setReg(REG.RAX, value & 0xffffffffn);
  m.s.setReg(REG.RDX, value >> 32n);
}
function rdmsr(m: Machine, index: number): bigint {
  m.s.setReg32(REG.RCX, index);
  m.run('0f 32');
  return (m.s.reg(REG.RDX) << 32n) | m.s.reg(REG.RAX);
}

describe('RDMSR and WRMSR', () => {
  const kept: [string, number, bigint][] = [
    ['STAR', MSR.STAR, 0x0023_0010_0000_1234n],
    ['LSTAR', MSR.LSTAR, 0xffffffff80001000n],
    ['CSTAR', MSR.CSTAR, 0x7fff12345678n],
    ['SFMASK', MSR.SFMASK, 0x47700n],
    ['FS_BASE', MSR.FS_BASE, 0x7fff00001000n],
    ['GS_BASE', MSR.GS_BASE, 0xffff888000000000n],
    ['KERNEL_GS_BASE', MSR.KERNEL_GS_BASE, 0xffff888000000000n],
    ['TSC_AUX', MSR.TSC_AUX, 0x12345n],
    ['SYSENTER_CS', MSR.SYSENTER_CS, 0x10n],
    ['SYSENTER_ESP', MSR.SYSENTER_ESP, 0xffffffff80001000n],
    ['SYSENTER_EIP', MSR.SYSENTER_EIP, 0xffffffff80001000n],
    ['PAT', MSR.PAT, 0x0407050600070106n],
    ['MTRR_DEF_TYPE', MSR.MTRR_DEF_TYPE, 0xc06n],
    ['MTRR fixed 64K', 0x250, 0x0606060606060606n],
    ['MTRR base 7', 0x20e, 0xf0000006n],
    ['MTRR mask 7', 0x20f, 0xffc0000800n],
    ['MISC_ENABLE', MSR.MISC_ENABLE, 0x1801n],
    ['TSC_ADJUST', MSR.TSC_ADJUST, 0xffffffffffffff00n],
    ['TSC', MSR.TSC, 0x123456789abn],
  ];
  it.each(kept)('%s reads back', (_name, index, value) => {
    const m = new Machine().long64();
    wrmsr(m, index, value);
    expect(rdmsr(m, index)).toBe(value);
  });
  const refused: [string, number, bigint][] = [
    ['LSTAR not canonical', MSR.LSTAR, 1n << 47n],
    ['FS_BASE not canonical', MSR.FS_BASE, 1n << 63n],
    ['SYSENTER_EIP not canonical', MSR.SYSENTER_EIP, 1n << 63n],
    ['SFMASK high bits', MSR.SFMASK, 1n << 32n],
    ['TSC_AUX high bits', MSR.TSC_AUX, 1n << 32n],
    ['PAT type 2', MSR.PAT, 2n],
    ['PAT type 8', MSR.PAT, 8n << 56n],
    ['MTRR_DEF_TYPE reserved', MSR.MTRR_DEF_TYPE, 0x100n],
    ['MTRR fixed type 7', 0x250, 7n],
    ['MTRR base beyond 40 bits', 0x200, 1n << 40n],
    ['MTRR mask low bits', 0x201, 0x400n],
    ['MTRR_CAP is read-only', MSR.MTRR_CAP, 0n],
    ['EFER reserved', MSR.EFER, 1n << 12n],
    ['EFER.LME with paging', MSR.EFER, 0n],
    ['unknown', 0x9999, 0n],
    ['APIC base that no one answers', MSR.APIC_BASE, 0xfee00000n],
  ];
  it.each(refused)('refuses: %s', (_name, index, value) => {
    const m = new Machine().long64();
    setMsrOperand(m, index, value);
    expect(m.fault('0f 30')).toMatchObject(GP0);
  });
  it('EFER keeps LMA and turns SCE, NXE', () => {
    const m = new Machine().long64();
    wrmsr(m, MSR.EFER, BigInt(EFER.LME | EFER.NXE));
    expect(rdmsr(m, MSR.EFER)).toBe(BigInt(EFER.LME | EFER.LMA | EFER.NXE));
    expect(m.flushes).toEqual(['all']);
  });
  it('others go through the exits', () => {
    const m = new Machine().long64();
    m.exits.msrs.set(0x40000000, 7n);
    expect(rdmsr(m, 0x40000000)).toBe(7n);
    wrmsr(m, 0x40000000, 0x1000n);
    expect(m.exits.msrs.get(0x40000000)).toBe(0x1000n);
    m.s.setReg32(REG.RCX, 0x9999);
    expect(m.fault('0f 32')).toMatchObject(GP0);
  });
  it('APIC base asks the exits and keeps the value', () => {
    const m = new Machine().long64();
    m.exits.msrs.set(MSR.APIC_BASE, 0n);
    wrmsr(m, MSR.APIC_BASE, 0xfee00d00n);
    expect(rdmsr(m, MSR.APIC_BASE)).toBe(0xfee00d00n);
    setMsrOperand(m, MSR.APIC_BASE, 0xfee00500n);
    expect(m.fault('0f 30')).toMatchObject(GP0);
  });
  it('need CPL 0', () => {
    expect(new Machine().long64(3).fault('0f 30')).toMatchObject(GP0);
    expect(new Machine().long64(3).fault('0f 32')).toMatchObject(GP0);
  });
});

describe('time stamps', () => {
  it('RDTSC is the tick plus the offset; TSC_ADJUST moves it', () => {
    const m = new Machine().long64(3);
    m.run('0f 31');
    expect(m.s.reg(REG.RAX)).toBe(1000n);
    m.s.set32(L.CPL, 0);
    wrmsr(m, MSR.TSC, 0x5_0000_0000n);
    m.tick += 16;
    m.s.set64(L.MSR_TSC_AUX, 3n);
    m.run('0f 01 f9');
    expect([m.s.reg(REG.RDX), m.s.reg(REG.RAX), m.s.reg(REG.RCX)]).toEqual([5n, 16n, 3n]);
    expect(rdmsr(m, MSR.TSC_ADJUST)).toBe(0x5_0000_0000n - 1000n);
  });
  it('CR4.TSD shuts RDTSC and RDTSCP above CPL 0', () => {
    const m = new Machine().long64(3);
    m.s.set64(L.CR4, BigInt(CR4.PAE | CR4.TSD));
    expect(m.fault('0f 31')).toMatchObject(GP0);
    expect(m.fault('0f 01 f9')).toMatchObject(GP0);
  });
  it('RDPMC needs CR4.PCE above CPL 0 and a counter that exists', () => {
    expect(new Machine().long64(3).fault('0f 33')).toMatchObject(GP0);
    const m = new Machine().long64();
    m.s.setReg32(REG.RCX, 4);
    expect(m.fault('0f 33')).toMatchObject(GP0);
    m.s.setReg32(REG.RCX, 3);
    expect(m.run('0f 33')).toBe(Flow.NEXT);
  });
  it('RDPID', () => {
    const m = new Machine().long64(3);
    m.s.set64(L.MSR_TSC_AUX, 0x1234n);
    m.run('f3 0f c7 f8');
    expect(m.s.reg(REG.RAX)).toBe(0x1234n);
  });
});

describe('segment bases', () => {
  it('SWAPGS', () => {
    const m = new Machine().long64();
    m.s.set64(L.MSR_KERNEL_GS_BASE, 0xffff888000000000n);
    m.s.set64(L.SLOT_SEG_BASE + 40, 0x1234n);
    m.run('0f 01 f8');
    expect([m.s.base(SEG.GS), m.s.get64(L.MSR_KERNEL_GS_BASE)]).toEqual([0xffff888000000000n, 0x1234n]);
    expect(new Machine().long64(3).fault('0f 01 f8')).toMatchObject(GP0);
  });
  it('RDFSBASE, WRFSBASE, RDGSBASE, WRGSBASE', () => {
    const m = new Machine().long64(3);
    expect(m.fault('f3 48 0f ae c0').vector).toBe(VECTOR.UD);
    m.s.set64(L.CR4, BigInt(CR4.PAE | CR4.FSGSBASE));
    withRax(m, 0x7fff12345678n).run('f3 48 0f ae d0');
    expect(m.s.base(SEG.FS)).toBe(0x7fff12345678n);
    withRax(m, 0xffffffff12345678n).run('f3 0f ae d8');
    expect(m.s.base(SEG.GS)).toBe(0x12345678n);
    m.run('f3 48 0f ae c0');
    expect(m.s.reg(REG.RAX)).toBe(0x7fff12345678n);
    m.run('f3 0f ae c0');
    expect(m.s.reg(REG.RAX)).toBe(0x12345678n);
    expect(withRax(m, 1n << 47n).fault('f3 48 0f ae d0')).toMatchObject(GP0);
  });
});

describe('INVLPG and INVPCID', () => {
  it('INVLPG flushes one page, ignores non-canonical addresses', () => {
    const m = withRax(new Machine().long64(), 0x12345678n);
    m.run('0f 01 38');
    expect([m.flushes, m.exits.calls]).toEqual([['page 12345678'], ['flush 1']]);
    withRax(m, 1n << 47n).run('0f 01 38');
    expect(m.flushes.length).toBe(1);
    expect(new Machine().long64(3).fault('0f 01 38')).toMatchObject(GP0);
  });
  it('INVPCID types', () => {
    const m = withRax(new Machine().long64(), 0x6000);
    m.mem.put64(0x6008, 0x5000n);
    for (let type = 0; type < 4; type++) {
      m.s.setReg(REG.RCX, BigInt(type));
      m.run('66 0f 38 82 08');
    }
    expect(m.flushes).toEqual(['page 5000', 'nonglobal', 'all', 'nonglobal']);
    m.s.setReg(REG.RCX, 4n);
    expect(m.fault('66 0f 38 82 08')).toMatchObject(GP0);
    m.s.setReg(REG.RCX, 0n);
    m.mem.put64(0x6000, 0x1000n);
    expect(m.fault('66 0f 38 82 08')).toMatchObject(GP0);
    m.mem.put64(0x6000, 1n);
    expect(m.fault('66 0f 38 82 08')).toMatchObject(GP0);
    m.s.set64(L.CR4, BigInt(CR4.PAE | CR4.PCIDE));
    expect(m.run('66 0f 38 82 08')).toBe(Flow.NEXT);
  });
});

describe('XSETBV and XGETBV', () => {
  function machine(supported = 7): Machine {
    const m = new Machine().long64();
    m.s.set64(L.CR4, BigInt(CR4.PAE | CR4.OSXSAVE));
    m.exits.leaves.set(0xd, { eax: supported, ebx: 0, ecx: 0, edx: 0 });
    m.s.setReg32(REG.RCX, 0);
    m.s.setReg32(REG.RDX, 0);
    return m;
  }
  it('sets what CPUID offers', () => {
    const m = withRax(machine(), 7);
    m.run('0f 01 d1');
    m.run('0f 01 d0');
    expect([m.s.get64(L.XCR0), m.s.reg(REG.RAX)]).toEqual([7n, 7n]);
  });
  it.each([
    [0, 7],
    [5, 7],
    [9, 7],
    [7, 3],
  ])('refuses %i of %i', (value, supported) => {
    expect(withRax(machine(supported), value).fault('0f 01 d1')).toMatchObject(GP0);
  });
  it('need CR4.OSXSAVE, ECX = 0 and, to write, CPL 0', () => {
    expect(new Machine().long64().fault('0f 01 d0').vector).toBe(VECTOR.UD);
    expect(new Machine().long64().fault('0f 01 d1').vector).toBe(VECTOR.UD);
    const m = withRax(machine(), 3);
    m.s.setReg32(REG.RCX, 2);
    expect(m.fault('0f 01 d1')).toMatchObject(GP0);
    m.s.setReg32(REG.RCX, 0);
    m.s.set32(L.CPL, 3);
    expect(m.fault('0f 01 d1')).toMatchObject(GP0);
    expect(m.run('0f 01 d0')).toBe(Flow.NEXT);
  });
});

describe('CR0 after power-up', () => {
  it('is 0x60000010', () => {
    expect(new Machine().s.get64(L.CR0)).toBe(BigInt(CR0.ET) | 0x60000000n);
  });
});
