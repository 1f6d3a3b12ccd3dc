import { describe, expect, it } from 'vitest';
import { debugFrame } from '../../../src/debug/symbols/debug-frame.ts';
import { ORC, type OrcRow } from '../../../src/debug/symbols/orc.ts';

const row = (address: number, more: Partial<OrcRow> = {}): OrcRow => ({
  address: BigInt(address),
  spRegister: ORC.SP,
  spOffset: 8,
  bpRegister: ORC.UNDEFINED,
  bpOffset: 0,
  type: 'call',
  ...more,
});

interface Entry {
  readonly cie: number;
  readonly start: bigint;
  readonly end: bigint;
  readonly code: string;
}

/** Comes apart by the lengths alone, as a reader would take it. */
function entries(section: Uint8Array): Entry[] {
  const data = Buffer.from(section);
  const found: Entry[] = [];
  let at = 0;
  for (; at < data.length; ) {
    const length = data.readUInt32LE(at);
    const id = data.readUInt32LE(at + 4);
    if (id !== 0xffffffff) {
      const start = data.readBigUInt64LE(at + 8);
      const end = start + data.readBigUInt64LE(at + 16);
      found.push({ cie: id, start, end, code: data.subarray(at + 24, at + 4 + length).toString('hex') });
    }
    at += 4 + length;
  }
  expect(at).toBe(data.length);
  return found;
}

describe('.debug_frame', () => {
  it('has an entry for each stretch of code, with a frame of its own for interrupts', () => {
    const section = debugFrame([
      row(0x1000),
      row(0x1001, { spOffset: 16, bpRegister: ORC.PREV_SP, bpOffset: -16 }),
      row(0x1100, { spRegister: ORC.BP, spOffset: 16, bpRegister: ORC.PREV_SP, bpOffset: -16 }),
      row(0x2000, { spOffset: 0, type: 'regs' }),
      row(0x2010, { type: 'end' }),
      row(0x2020, { spRegister: ORC.SP_INDIRECT, spOffset: 8 }),
      row(0x2030, { type: 'none' }),
    ]);
    const all = entries(section);
    expect(all.map(({ start, end }) => `${start.toString(16)}-${end.toString(16)}`)).toEqual([
      '1000-2000',
      '2000-2010',
      '2010-2020',
      '2020-2030',
    ]);
    const [calls, interrupt, end, indirect] = all;
    // def_cfa rsp 8, rip at -8, rbp same; advance 1; def_cfa rsp 16, rbp at -16; advance 255; def_cfa rbp 16 …
    expect(calls!.code).toMatch(/^0c070890010806410c0710900111060202ff0c06109001110602(00)*$/);
    expect(interrupt!.cie).not.toBe(calls!.cie);
    // rip at cfa+128 and rsp at cfa+152: -16 and -19 in units of -8.
    expect(interrupt!.code).toContain('111070');
    expect(interrupt!.code).toContain('11076d');
    expect(end!.code).toMatch(/^000710/);
    // DW_CFA_def_cfa_expression: breg7 0, deref, plus_uconst 8
    expect(indirect!.code).toMatch(/^0f057700062308/);
  });

  it('cuts long stretches, so that a reader need not go far', () => {
    const all = entries(debugFrame(Array.from({ length: 1000 }, (_, i) => row(0x1000 + 16 * i))));
    expect(all.length).toBeGreaterThan(10);
    for (const [i, { start }] of all.entries()) expect(start).toBe(i === 0 ? 0x1000n : all[i - 1]!.end);
    expect(all.at(-1)!.end).toBe(BigInt(0x1000 + 16 * 999));
  });
});
