/** PCID and INVPCID on the engine: what a guest is offered. Entries carry no tags, so a switch drops more than it must, never less. */
import { describe, expect, test } from 'vitest';
import * as L from '../../src/cpu/layout.ts';
import { CR4, REG } from '../../src/cpu/state.ts';
import { cpuidPolicy } from '../../src/hypervisor/hvm/cpuid-policy.ts';
import type { BareMachine } from '../support/bare-machine.ts';
import { DATA, machineWith, run } from './long-machine.ts';

const GP = 'exception 13 0';
const code = (hex: string): Buffer => Buffer.from(hex.replace(/ /g, ''), 'hex');
/** MOV CR4, RAX with PAE and what else is given; MOV CR3, RAX; MOV RAX, CR3. */
const CR4_PCIDE = 'b820000200 0f22e0';
const CR3_WRITE = '0f22d8';
const CR3_READ = '0f20d8';
const movRax = (value: bigint): string => `48b8${Buffer.from(BigUint64Array.of(value).buffer).toString('hex')}`;

const machine = (): BareMachine => machineWith(cpuidPolicy());
/** A descriptor at DATA: PCID and linear address. */
function descriptor(m: BareMachine, pcid: bigint, linear: bigint): void {
  m.memory.write(Number(DATA), new Uint8Array(BigUint64Array.of(pcid, linear).buffer));
}
/** INVPCID RAX, [RSI]. */
const invpcid = (type: number): string => `${movRax(BigInt(type))} 660f388206`;

describe('CR4.PCIDE', () => {
  test('lets CR3 hold a PCID; bit 63 of a new value is not stored', () => {
    const m = machine();
    expect(run(m, code(`${CR4_PCIDE} ${movRax((1n << 63n) | 0x1005n)} ${CR3_WRITE} ${CR3_READ}`))).toEqual([]);
    expect(m.engine.state.reg(REG.RAX)).toBe(0x1005n);
  });

  test('without it, bit 63 of CR3 is reserved', () => {
    expect(run(machine(), code(`${movRax((1n << 63n) | 0x1000n)} ${CR3_WRITE}`))[0]).toBe(GP);
  });

  test('cannot be set over a CR3 with low bits', () => {
    expect(run(machine(), code(`${movRax(0x1005n)} ${CR3_WRITE} ${CR4_PCIDE}`))[0]).toBe(GP);
  });

  test('keeps paging from being switched off', () => {
    // MOV RAX, CR0; BTR RAX, 31; MOV CR0, RAX
    expect(run(machine(), code(`${CR4_PCIDE} 0f20c0 480fbaf01f 0f22c0`))[0]).toBe(GP);
  });
});

describe('INVPCID', () => {
  test.each([
    ['type 4', 4, 0n, 0n],
    ['a PCID of 13 bits', 1, 0x1000n, 0n],
    ['a non-canonical address', 0, 1n, 1n << 60n],
  ])('%s is #GP', (_, type, pcid, linear) => {
    const m = machine();
    descriptor(m, pcid, linear);
    expect(run(m, code(`${CR4_PCIDE} ${invpcid(type)}`))[0]).toBe(GP);
  });

  test('types 0 and 1 with a PCID want CR4.PCIDE', () => {
    for (const type of [0, 1]) {
      const m = machine();
      descriptor(m, 3n, 0x1000n);
      expect(run(m, code(invpcid(type)))[0]).toBe(GP);
      const on = machine();
      descriptor(on, 3n, 0x1000n);
      expect(run(on, code(`${CR4_PCIDE} ${invpcid(type)}`))).toEqual([]);
    }
  });

  /**
   * Reads the page at DATA + 0x1000, moves it in the page table without a flush, and reads again after `between`: the old content
   * means that the translation was kept.
   */
  function translationIsKept(between: string, global: boolean): boolean {
    const m = machine();
    const page = Number(DATA) + 0x1000;
    const other = Number(DATA) + 0x3000;
    m.memory.write(page, Uint8Array.of(1));
    m.memory.write(other, Uint8Array.of(2));
    descriptor(m, 0n, BigInt(page));
    const entry = 4 * 4096 + (page >> 12) * 8;
    const flags = global ? 0x103 : 3;
    m.memory.write(entry, new Uint8Array(BigUint64Array.of(BigInt(page | flags)).buffer));
    // PGE; MOV RDX, page; MOV BL, [RDX]; MOV RCX, entry; MOV RAX, other | flags; MOV [RCX], RAX; …; MOV BL, [RDX]
    const load = '8a1a';
    const pge = `b8a0000200 0f22e0`;
    const change = `48b9${Buffer.from(BigUint64Array.of(BigInt(entry)).buffer).toString('hex')} ${movRax(BigInt(other | flags))} 488901`;
    const address = `48ba${Buffer.from(BigUint64Array.of(BigInt(page)).buffer).toString('hex')}`;
    expect(m.engine.state.cr4 & CR4.PGE).toBe(0);
    expect(run(m, code(`${pge} ${address} ${load} ${change} ${between} ${load}`))).toEqual([]);
    const seen = m.engine.state.u8[L.GPR + 8 * REG.RBX];
    return seen === 1;
  }

  test.each([
    ['nothing', false, true, ''],
    ['type 0, one address', false, false, invpcid(0)],
    ['type 0, one address', true, false, invpcid(0)],
    ['type 1, one context', false, false, invpcid(1)],
    ['type 1, one context', true, true, invpcid(1)],
    ['type 2, all with global ones', true, false, invpcid(2)],
    ['type 3, all but global ones', false, false, invpcid(3)],
    ['type 3, all but global ones', true, true, invpcid(3)],
  ])('after %s, a translation that is global (%s) is kept: %s', (_, global, kept, between) => {
    expect(translationIsKept(between, global)).toBe(kept);
  });
});
