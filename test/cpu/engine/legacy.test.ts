import { describe, expect, it } from 'vitest';
import type { ProcessorContext } from '../../../src/cpu/context.ts';
import { Instruction } from '../../../src/cpu/decode/instruction.ts';
import { legacyInstructions } from '../../../src/cpu/engine/legacy.ts';
import { FAULT } from '../../../src/cpu/fault.ts';
import { CpuState, FLAG } from '../../../src/cpu/state.ts';

const s = new CpuState(new ArrayBuffer(0x1000));

/** AX and flags after `name` with an immediate. */
function run(name: string, ax: number, flags: number, imm = 0): { ax: number; flags: number } {
  s.setReg(0, 0x1122334455660000n | BigInt(ax));
  s.eflags = flags;
  const insn = new Instruction();
  insn.imm = imm;
  legacyInstructions[name]!({ s } as ProcessorContext, insn);
  expect(s.reg(0) >> 16n).toBe(0x112233445566n);
  return { ax: s.u16[0]!, flags: s.eflags };
}

const packed = (n: number): number => Math.floor(n / 10) * 16 + (n % 10);
/** CF and AF of a byte sum or difference. */
const carries = (a: number, b: number, sign: 1 | -1): number => {
  const r = a + sign * b;
  const low = (a & 15) + sign * (b & 15);
  return (r & ~255 ? FLAG.CF : 0) | (low & ~15 ? FLAG.AF : 0);
};

describe('decimal arithmetic', () => {
  it('DAA and DAS finish the sum and difference of any two packed numbers', () => {
    for (let a = 0; a < 100; a++) {
      for (let b = 0; b < 100; b++) {
        const sum = run('DAA', (packed(a) + packed(b)) & 255, carries(packed(a), packed(b), 1));
        expect([sum.ax, sum.flags & FLAG.CF]).toEqual([packed((a + b) % 100), a + b > 99 ? 1 : 0]);
        const difference = run('DAS', (packed(a) - packed(b)) & 255, carries(packed(a), packed(b), -1));
        expect([difference.ax, difference.flags & FLAG.CF]).toEqual([packed((a - b + 100) % 100), a < b ? 1 : 0]);
      }
    }
  });

  it('AAA and AAS carry into and borrow from AH', () => {
    expect(run('AAA', 0x010f, 0)).toMatchObject({ ax: 0x0205 });
    expect(run('AAA', 0x0109, 0).ax).toBe(0x0109);
    expect(run('AAA', 0x0102, FLAG.AF).ax).toBe(0x0208);
    expect(run('AAA', 0x00fa, 0).ax).toBe(0x0200);
    expect(run('AAS', 0x02fd, FLAG.AF).ax).toBe(0x0107);
    expect(run('AAS', 0x0207, 0).ax).toBe(0x0207);
    expect(run('AAS', 0x020c, 0).flags & (FLAG.CF | FLAG.AF)).toBe(FLAG.CF | FLAG.AF);
  });

  it('AAM and AAD undo each other in any base, and AAM by zero divides by zero', () => {
    for (let n = 0; n < 256; n++) {
      for (const base of [2, 10, 16, 255]) {
        const split = run('AAM', 0x7700 | n, 0, base);
        expect(split.ax).toBe((Math.floor(n / base) << 8) | (n % base));
        expect(run('AAD', split.ax, 0, base).ax).toBe(n);
      }
    }
    expect(() => run('AAM', 5, 0, 0)).toThrow(FAULT);
    expect(FAULT.vector).toBe(0);
  });

  it('SF, ZF and PF are those of AL', () => {
    expect(run('AAM', 0, FLAG.SF, 10).flags & (FLAG.SF | FLAG.ZF | FLAG.PF)).toBe(FLAG.ZF | FLAG.PF);
    expect(run('AAD', 0x0080, 0, 10).flags & (FLAG.SF | FLAG.ZF | FLAG.PF)).toBe(FLAG.SF);
    expect(run('DAA', 0x03, 0).flags & (FLAG.SF | FLAG.ZF | FLAG.PF)).toBe(FLAG.PF);
  });

  it('SALC spreads the carry', () => {
    expect(run('SALC', 0x1234, FLAG.CF).ax).toBe(0x12ff);
    expect(run('SALC', 0x1234, FLAG.ZF)).toMatchObject({ ax: 0x1200, flags: FLAG.ZF | 2 });
  });
});

describe('hardware random numbers', () => {
  it('are never ready: CF clear and a zero', () => {
    const cpu = { s, exits: {} } as ProcessorContext;
    const insn = new Instruction();
    insn.rm = 3;
    insn.operandSize = 16;
    s.setReg(3, 0xffffffffn);
    s.eflags = FLAG.CF | FLAG.ZF;
    legacyInstructions['RDRAND']!(cpu, insn);
    expect(s.reg(3)).toBe(0xffff0000n);
    expect(s.eflags).toBe(2);
    insn.operandSize = 32;
    legacyInstructions['RDSEED']!(cpu, insn);
    expect(s.reg(3)).toBe(0n);
  });
});
