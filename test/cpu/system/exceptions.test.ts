import { describe, expect, it } from 'vitest';
import { Flow } from '../../../src/cpu/context.ts';
import { VECTOR } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { FLAG, REG, SEG } from '../../../src/cpu/state.ts';
import { combine, deliver, type EventKind, type InterruptEvent } from '../../../src/cpu/system/index.ts';
import { CODE, IDT, Machine, SEL, STACK0, STACK3, TSS } from './machine.ts';

function event(vector: number, over: Partial<InterruptEvent> = {}): InterruptEvent {
  return { vector, error: -1, kind: 'fault', cr2: 0n, instructionLength: 0, ...over };
}

describe('real-mode delivery', () => {
  it('pushes FLAGS CS IP and goes through the IVT', () => {
    const m = new Machine().real();
    m.s.eflags = 2 | FLAG.IF | FLAG.TF | FLAG.CF;
    m.mem.put16(0x20 * 4, 0x1234);
    m.mem.put16(0x20 * 4 + 2, 0x0a00);
    m.s.rip = 0x10n;
    expect(deliver(m, event(0x20, { kind: 'external' }))).toBe(Flow.BRANCH);
    expect([m.s.selector(SEG.CS), m.s.base(SEG.CS), m.s.rip]).toEqual([0xa00, 0xa000n, 0x1234n]);
    expect(m.s.reg(REG.RSP)).toBe(0xffan);
    expect([m.mem.get16(0x10ffa), m.mem.get16(0x10ffc), m.mem.get16(0x10ffe)]).toEqual([0x10, 0x800, 0x303]);
    expect(m.s.eflags & (FLAG.IF | FLAG.TF)).toBe(0);
  });
  it('pushes no error code', () => {
    const m = new Machine().real();
    deliver(m, event(VECTOR.GP, { error: 0 }));
    expect(m.s.reg(REG.RSP)).toBe(0xffan);
  });
  it('shuts down when the table is too short for every exception', () => {
    const m = new Machine().real();
    m.s.set32(L.IDTR_LIMIT, 3);
    expect(deliver(m, event(VECTOR.UD))).toBe(Flow.LEAVE_BRANCH);
    expect(m.exits.calls.at(-1)).toBe('tripleFault');
    expect(m.s.get32(L.ACTIVITY)).toBe(3);
    expect(m.s.rip).toBe(0n);
  });
});

describe('protected-mode delivery', () => {
  it('stays at privilege 0 through an interrupt gate', () => {
    const m = new Machine().protected32(0, 2 | FLAG.IF | FLAG.NT | FLAG.TF);
    m.gate(IDT, 32, SEL.CODE0, 0x9000, 0x8e);
    deliver(m, event(32, { kind: 'external' }));
    const sp = STACK0 - 0x800 - 12;
    expect(Number(m.s.reg(REG.RSP))).toBe(sp);
    expect([m.mem.get32(sp), m.mem.get32(sp + 4), m.mem.get32(sp + 8)]).toEqual([CODE, SEL.CODE0, 0x4302]);
    expect(m.s.rip).toBe(0x9000n);
    expect(m.s.eflags).toBe(2);
  });
  it('keeps IF through a trap gate', () => {
    const m = new Machine().protected32(0, 2 | FLAG.IF);
    m.gate(IDT, 32, SEL.CODE0, 0x9000, 0x8f);
    deliver(m, event(32, { kind: 'external' }));
    expect(m.s.eflags & FLAG.IF).toBe(FLAG.IF);
  });
  it('pushes RF for faults, not for traps and interrupts', () => {
    const rfOf = (kind: EventKind, vector: number): number => {
      const m = new Machine().protected32();
      m.gate(IDT, vector, SEL.CODE0, 0x9000, 0x8e);
      deliver(m, event(vector, { kind }));
      return m.mem.get32(Number(m.s.reg(REG.RSP)) + 8) & FLAG.RF;
    };
    expect(rfOf('fault', VECTOR.UD)).toBe(FLAG.RF);
    expect(rfOf('fault', VECTOR.DB)).toBe(0);
    expect(rfOf('trap', VECTOR.DB)).toBe(0);
    expect(rfOf('external', 40)).toBe(0);
  });
  it('pushes RF when an interrupt cuts a repeated instruction', () => {
    const m = new Machine().protected32();
    m.gate(IDT, 40, SEL.CODE0, 0x9000, 0x8e);
    deliver(m, event(40, { kind: 'external', midInstruction: true }));
    expect(m.mem.get32(Number(m.s.reg(REG.RSP)) + 8) & FLAG.RF).toBe(FLAG.RF);
  });
  it('changes to the stack of the TSS on the way in', () => {
    const m = new Machine().protected32(3, 2 | FLAG.IF);
    m.gate(IDT, VECTOR.GP, SEL.CODE0, 0x9000, 0x8e);
    deliver(m, event(VECTOR.GP, { error: 0x18 }));
    const sp = STACK0 - 24;
    expect(Number(m.s.reg(REG.RSP))).toBe(sp);
    const frame = [0, 4, 8, 12, 16, 20].map((o) => m.mem.get32(sp + o));
    expect(frame).toEqual([0x18, CODE, SEL.CODE3, 0x10202, STACK3, SEL.DATA3]);
    expect([m.s.cpl, m.s.selector(SEG.CS), m.s.selector(SEG.SS)]).toEqual([0, SEL.CODE0, SEL.DATA0]);
  });
  it('uses 16-bit frames behind a 16-bit gate', () => {
    const m = new Machine().protected32();
    m.gate(IDT, 33, SEL.CODE0, 0x12349000, 0x86);
    deliver(m, event(33, { kind: 'external' }));
    expect(Number(m.s.reg(REG.RSP))).toBe(STACK0 - 0x800 - 6);
    expect(m.s.rip).toBe(0x9000n);
  });
  it('leaves virtual-8086 mode: data segments saved and nulled', () => {
    const m = new Machine().vm86(3);
    m.gate(IDT, 32, SEL.CODE0, 0x9000, 0x8e);
    deliver(m, event(32, { kind: 'external' }));
    const sp = STACK0 - 36;
    expect(Number(m.s.reg(REG.RSP))).toBe(sp);
    const frame = [0, 4, 8, 12, 16, 20, 24, 28, 32].map((o) => m.mem.get32(sp + o));
    expect(frame).toEqual([0, 0x800, 0x23002, 0x1000, 0x1000, 0x900, 0x900, 0x900, 0x900]);
    expect(m.s.eflags & FLAG.VM).toBe(0);
    for (const seg of [SEG.DS, SEG.ES, SEG.FS, SEG.GS]) expect(m.s.attributes(seg) & 0x10000).toBe(0x10000);
  });
  it('refuses to leave virtual-8086 mode to anything but privilege 0', () => {
    const m = new Machine().vm86(3);
    m.gate(IDT, 32, SEL.CODE3 & ~3, 0x9000, 0x8e);
    m.gate(IDT, VECTOR.GP, SEL.CODE0, 0xa000, 0x8e);
    deliver(m, event(32, { kind: 'external' }));
    expect(m.s.rip).toBe(0xa000n);
    expect(m.mem.get32(Number(m.s.reg(REG.RSP)))).toBe(0x19);
  });
});

describe('errors on the way to the handler', () => {
  /** Delivers external interrupt 32 over a broken way; a good #GP #TS #NP #SS handler reports vector and code. */
  function reported(spoil: (m: Machine) => void, kind: EventKind = 'external', cpl = 0): [number, number] {
    const m = new Machine().protected32(cpl);
    for (const vector of [8, 10, 11, 12, 13, 14]) m.gate(IDT, vector, SEL.CODE0, 0xa000 + vector, 0x8e);
    m.gate(IDT, 32, SEL.CODE0, 0x9000, 0x8e);
    spoil(m);
    const before = m.s.rip;
    deliver(m, event(32, { kind, instructionLength: kind === 'software-int' ? 2 : 0 }));
    expect(m.mem.get32(Number(m.s.reg(REG.RSP)) + 4)).toBe(Number(before));
    return [Number(m.s.rip) - 0xa000, m.mem.get32(Number(m.s.reg(REG.RSP)))];
  }
  const cases: [string, (m: Machine) => void, number, number, (EventKind | undefined)?, number?][] = [
    ['beyond the IDT', (m) => m.s.set32(L.IDTR_LIMIT, 32 * 8 + 6), 13, 32 * 8 + 3],
    ['beyond the IDT, INT n', (m) => m.s.set32(L.IDTR_LIMIT, 32 * 8 + 6), 13, 32 * 8 + 2, 'software-int'],
    ['no gate type', (m) => m.gate(IDT, 32, SEL.CODE0, 0, 0x8c), 13, 32 * 8 + 3],
    ['a data descriptor as gate', (m) => m.gate(IDT, 32, SEL.CODE0, 0, 0x9e), 13, 32 * 8 + 3],
    ['gate not present', (m) => m.gate(IDT, 32, SEL.CODE0, 0, 0x0e), 11, 32 * 8 + 3],
    ['null code selector', (m) => m.gate(IDT, 32, 3, 0, 0x8e), 13, 1],
    ['code selector beyond the GDT', (m) => m.gate(IDT, 32, 0x400, 0, 0x8e), 13, 0x401],
    ['code selector is data', (m) => m.gate(IDT, 32, SEL.DATA0, 0, 0x8e), 13, 0x11],
    ['less privileged handler', (m) => m.gate(IDT, 32, SEL.CODE3, 0, 0x8e), 13, 0x19],
    ['code not present', (m) => m.gdt(1, 0, 0xfffff, 0x1b, 0xc), 8, 0],
    ['code beyond its limit', (m) => m.gate(IDT, 32, SEL.CODE16, 0x10000, 0x8e), 13, 1],
    ['task gate to nowhere', (m) => m.gate(IDT, 32, SEL.DATA0, 0, 0x85), 13, 0x11],
    ['task gate to a local selector', (m) => m.gate(IDT, 32, SEL.TSS | 4, 0, 0x85), 13, 0x2d],
    ['task gate to a busy task', (m) => m.gate(IDT, 32, SEL.TSS, 0, 0x85), 13, 0x29],
    ['privileged gate by INT n', (m) => m.gate(IDT, 32, SEL.CODE0, 0x9000, 0x8e), 13, 32 * 8 + 2, 'software-int', 3],
  ];
  for (const [name, spoil, vector, code, kind, cpl] of cases) {
    it(name, () => {
      if (vector === 8) {
        // #NP's own handler uses the same segment: #NP during #NP is a double fault, whose handler fails too.
        const m = new Machine().protected32();
        m.gate(IDT, 32, SEL.CODE0, 0x9000, 0x8e);
        spoil(m);
        deliver(m, event(32, { kind: 'external' }));
        expect(m.exits.calls).toContain('exception 8 0');
        expect(m.exits.calls.at(-1)).toBe('tripleFault');
        return;
      }
      expect(reported(spoil, kind, cpl)).toEqual([vector, code]);
    });
  }
  it('names the new stack in #TS and #SS', () => {
    const stack = (spoil: (m: Machine) => void): string[] => {
      const m = new Machine().protected32(3);
      m.gate(IDT, 32, SEL.CODE0, 0x9000, 0x8e);
      spoil(m);
      deliver(m, event(32, { kind: 'external' }));
      return m.exits.calls;
    };
    expect(stack((m) => m.mem.put32(TSS + 8, 0))[0]).toBe('exception 10 1');
    expect(stack((m) => m.mem.put32(TSS + 8, 0x400))[0]).toBe('exception 10 1025');
    expect(stack((m) => m.mem.put32(TSS + 8, SEL.DATA3))[0]).toBe('exception 10 33');
    expect(stack((m) => m.mem.put32(TSS + 8, SEL.CODE0))[0]).toBe('exception 10 9');
    expect(stack((m) => m.gdt(2, 0, 0xfffff, 0x13, 0xc))[0]).toBe('exception 12 17');
    expect(stack((m) => m.s.setSegment(SEG.TR, SEL.TSS, BigInt(TSS), 8, 0x8b))[0]).toBe('exception 10 41');
    expect(stack((m) => m.gdt(2, 0, 0xff, 0x93, 0x4))[0]).toBe('exception 12 17');
  });
  it('a stack that is not mapped gives #PF, then #DF, then shutdown', () => {
    const m = new Machine().protected32(3);
    m.gate(IDT, VECTOR.GP, SEL.CODE0, 0x9000, 0x8e);
    m.gate(IDT, VECTOR.PF, SEL.CODE0, 0x9000, 0x8e);
    m.gate(IDT, VECTOR.DF, SEL.CODE0, 0x9000, 0x8e);
    m.mem.missing.add((STACK0 - 4) >> 12);
    const before = m.registers();
    deliver(m, event(VECTOR.GP, { error: 0 }));
    expect(m.exits.calls).toEqual(['exception 13 0', 'exception 14 2', 'exception 8 0', 'tripleFault']);
    expect(m.registers()).toBe(before);
    expect(m.s.get64(L.CR2)).toBe(BigInt(STACK0 - 4));
  });
  it('a task gate rescues a double fault', () => {
    const m = new Machine().protected32(3);
    m.gdt(20, 0x5000, 0x67, 0x89);
    m.gate(IDT, VECTOR.DF, 20 * 8, 0, 0x85);
    m.mem.put32(0x5000 + 0x20, 0xb000);
    m.mem.put32(0x5000 + 0x24, 2);
    m.mem.put32(0x5000 + 0x38, 0x18000);
    for (const o of [0x48, 0x50, 0x54, 0x58, 0x5c]) m.mem.put32(0x5000 + o, SEL.DATA0);
    m.mem.put32(0x5000 + 0x4c, SEL.CODE0);
    m.mem.missing.add((STACK0 - 4) >> 12);
    m.gate(IDT, VECTOR.PF, SEL.CODE0, 0x9000, 0x8e);
    expect(deliver(m, event(VECTOR.PF, { error: 4, cr2: 0x1234n }))).toBe(Flow.BRANCH);
    expect(m.s.rip).toBe(0xb000n);
    expect(m.s.eflags & FLAG.NT).toBe(FLAG.NT);
    expect(m.s.reg(REG.RSP)).toBe(0x17ffcn);
    expect(m.mem.get32(0x17ffc)).toBe(0);
    expect(m.mem.get16(0x5000)).toBe(SEL.TSS);
  });
});

describe('table 6-5: two exceptions', () => {
  const T: [number, number, string][] = [
    [VECTOR.UD, VECTOR.GP, 'serial'],
    [VECTOR.DB, VECTOR.PF, 'serial'],
    [VECTOR.GP, VECTOR.GP, 'double'],
    [VECTOR.DE, VECTOR.NP, 'double'],
    [VECTOR.TS, VECTOR.SS, 'double'],
    [VECTOR.GP, VECTOR.PF, 'serial'],
    [VECTOR.GP, VECTOR.AC, 'serial'],
    [VECTOR.PF, VECTOR.PF, 'double'],
    [VECTOR.PF, VECTOR.TS, 'double'],
    [VECTOR.PF, VECTOR.UD, 'serial'],
    [VECTOR.DF, VECTOR.GP, 'triple'],
    [VECTOR.DF, VECTOR.PF, 'triple'],
    [VECTOR.DF, VECTOR.AC, 'serial'],
  ];
  it.each(T)('%i then %i: %s', (first, second, result) => {
    expect(combine(event(first), second)).toBe(result);
  });
  it('external and software interrupts are benign whatever their number', () => {
    expect(combine(event(VECTOR.GP, { kind: 'software-int' }), VECTOR.GP)).toBe('serial');
    expect(combine(event(VECTOR.PF, { kind: 'external' }), VECTOR.PF)).toBe('serial');
  });
});

describe('long-mode delivery', () => {
  const frame = (m: Machine, n: number): bigint[] =>
    Array.from({ length: n }, (_, i) => m.mem.get64(Number(m.s.reg(REG.RSP)) + i * 8));

  it('pushes the full frame on an aligned stack at the same privilege', () => {
    const m = new Machine().long64(0, 2 | FLAG.IF);
    m.s.setReg(REG.RSP, 0xf7fdn);
    m.gate64(IDT, 32, SEL.LONG0, 0x9000n, 0x8e);
    deliver(m, event(32, { kind: 'external' }));
    expect(m.s.reg(REG.RSP)).toBe(0xf7f0n - 40n);
    expect(frame(m, 5)).toEqual([BigInt(CODE), BigInt(SEL.LONG0), 0x202n, 0xf7fdn, BigInt(SEL.DATA0)]);
    expect(m.s.selector(SEG.SS)).toBe(SEL.DATA0);
  });
  it('loads RSP0 and a null SS on the way in', () => {
    const m = new Machine().long64(3, 2 | FLAG.IF);
    m.gate64(IDT, VECTOR.PF, SEL.LONG0, 0x9000n, 0x8e);
    deliver(m, event(VECTOR.PF, { error: 6, cr2: 0xdeadn }));
    expect(frame(m, 6)).toEqual([6n, BigInt(CODE), BigInt(SEL.LONG3), 0x10202n, BigInt(STACK3), BigInt(SEL.DATA3)]);
    expect([m.s.selector(SEG.SS), m.s.attributes(SEG.SS), m.s.cpl]).toEqual([0, 0x10000, 0]);
    expect(m.s.get64(L.CR2)).toBe(0xdeadn);
    expect(m.s.get32(L.EFLAGS_REST) & FLAG.IF).toBe(0);
  });
  it('takes an IST stack even without a change of privilege', () => {
    const m = new Machine().long64();
    m.mem.put64(TSS + 0x24 + 8, 0x18008n);
    m.gate64(IDT, 2, SEL.LONG0, 0x9000n, 0x8e, 2);
    deliver(m, event(2, { kind: 'nmi' }));
    expect(m.s.reg(REG.RSP)).toBe(0x18000n - 40n);
    expect(m.s.get32(L.NMI_BLOCKED)).toBe(1);
  });
  const errors: [string, (m: Machine) => void, string][] = [
    ['IDT too short', (m) => m.s.set32(L.IDTR_LIMIT, 32 * 16 + 14), 'exception 13 259'],
    ['32-bit gate types are gone', (m) => m.gate64(IDT, 32, SEL.LONG0, 0n, 0x86), 'exception 13 259'],
    ['task gates are gone', (m) => m.gate64(IDT, 32, SEL.LONG0, 0n, 0x85), 'exception 13 259'],
    ['gate not present', (m) => m.gate64(IDT, 32, SEL.LONG0, 0n, 0x0e), 'exception 11 259'],
    ['32-bit code', (m) => m.gate64(IDT, 32, SEL.CODE0, 0n, 0x8e), 'exception 13 9'],
    ['null code', (m) => m.gate64(IDT, 32, 0, 0n, 0x8e), 'exception 13 1'],
    ['offset not canonical', (m) => m.gate64(IDT, 32, SEL.LONG0, 1n << 47n, 0x8e), 'exception 13 1'],
    ['RSP0 not canonical', (m) => m.mem.put64(TSS + 4, 1n << 47n), 'exception 12 1'],
    ['TSS too short', (m) => m.s.setSegment(SEG.TR, SEL.TSS, BigInt(TSS), 10, 0x8b), 'exception 10 41'],
  ];
  it.each(errors)('%s', (_name, spoil, first) => {
    const m = new Machine().long64(3);
    m.gate64(IDT, 32, SEL.LONG0, 0x9000n, 0x8e);
    spoil(m);
    deliver(m, event(32, { kind: 'external' }));
    expect(m.exits.calls[0]).toBe(first);
  });
  it('delivers from compatibility mode', () => {
    const m = new Machine().long64(3);
    m.s.setSegment(SEG.CS, SEL.CODE3, 0n, 0xffffffff, 0xc0fb);
    m.gate64(IDT, 32, SEL.LONG0, 0x9000n, 0x8e);
    deliver(m, event(32, { kind: 'external' }));
    expect(m.s.is64).toBe(true);
    expect(m.mem.get64(Number(m.s.reg(REG.RSP)) + 8)).toBe(BigInt(SEL.CODE3));
  });
  it('clears DR7.GD on the way into #DB', () => {
    const m = new Machine().long64();
    m.s.set64(L.DR + 56, 0x2400n);
    m.gate64(IDT, 1, SEL.LONG0, 0x9000n, 0x8e);
    deliver(m, event(1, { kind: 'trap' }));
    expect(m.s.get64(L.DR + 56)).toBe(0x400n);
  });
  it('wakes a halted processor and ends the interrupt shadow', () => {
    const m = new Machine().long64();
    m.s.set32(L.ACTIVITY, 1);
    m.s.set32(L.INTERRUPT_SHADOW, 1);
    m.gate64(IDT, 32, SEL.LONG0, 0x9000n, 0x8e);
    deliver(m, event(32, { kind: 'external' }));
    expect([m.s.get32(L.ACTIVITY), m.s.get32(L.INTERRUPT_SHADOW)]).toEqual([0, 0]);
  });
});
