import { describe, expect, it } from 'vitest';
import { OrcTables } from '../../../src/debug/symbols/orc.ts';
import { SortedSymbols } from '../../../src/debug/symbols/symbol-table.ts';

const IPS = 0xffffffff82000000n;
const ENTRIES = 0xffffffff82100000n;
const TEXT = 0xffffffff81000000n;
const STACK = 0xffffc90000000000n;

/** sp offset, bp offset, sp register, bp register, type and end bits. */
type Row = readonly [address: bigint, sp: number, bp: number, spReg: number, bpReg: number, type: number];

function tables(rows: readonly Row[], stack: readonly bigint[], filler = 0x000) {
  // Most of a kernel's entries are calls: they tell the two forms of the type apart.
  const all: Row[] = [
    ...rows,
    ...Array.from({ length: 300 }, (_, i): Row => [TEXT + 0x100000n + BigInt(i), 8, 0, 5, 0, filler]),
  ];
  const ips = Buffer.alloc(4 * all.length);
  const entries = Buffer.alloc(6 * all.length);
  for (const [i, [address, sp, bp, spReg, bpReg, type]] of all.entries()) {
    ips.writeInt32LE(Number(address - (IPS + BigInt(4 * i))), 4 * i);
    entries.writeInt16LE(sp, 6 * i);
    entries.writeInt16LE(bp, 6 * i + 2);
    entries.writeUInt16LE(spReg | (bpReg << 4) | (type << 8), 6 * i + 4);
  }
  const words = Buffer.from(BigUint64Array.from(stack).buffer);
  const areas: [bigint, Buffer][] = [
    [IPS, ips],
    [ENTRIES, entries],
    [STACK, words],
  ];
  const read = (linear: bigint, length: number) => {
    for (const [start, bytes] of areas) {
      const at = Number(linear - start);
      if (at >= 0 && at + length <= bytes.length) return Uint8Array.from(bytes.subarray(at, at + length));
    }
    return undefined;
  };
  const address = {
    __start_orc_unwind_ip: IPS,
    __stop_orc_unwind_ip: IPS + BigInt(ips.length),
    __start_orc_unwind: ENTRIES,
  };
  const symbols = new SortedSymbols(
    'kallsyms',
    Object.entries(address).map(([name, at]) => ({ name, address: at, size: 0n, code: false })),
  );
  return OrcTables.of(symbols, read)!;
}

const start = (ip: bigint) => ({ ip, sp: STACK, bp: 0x77n, interrupted: true });
const SP = 5;
const PREV_SP = 1;
const UNDEFINED = 0;

describe("the kernel's unwind tables", () => {
  const rows: Row[] = [
    [TEXT, 8, 0, SP, UNDEFINED, 0],
    [TEXT + 1n, 16, -16, SP, PREV_SP, 0],
    [TEXT + 0x100n, 32, 0, SP, UNDEFINED, 0],
    [TEXT + 0x200n, 0, 0, SP, UNDEFINED, 4], // the end
  ];

  it('lead from a function to its callers, with the registers that they had', () => {
    const orc = tables(rows, [0x1234n, TEXT + 0x110n, 1n, 2n, 3n, TEXT + 0x210n]);
    const first = orc.caller(start(TEXT + 5n));
    expect(first).toMatchObject({ ip: TEXT + 0x110n, sp: STACK + 16n, bp: 0x1234n, interrupted: false });
    if (typeof first !== 'object') throw new Error('no frame');
    const second = orc.caller(first);
    expect(second).toMatchObject({ ip: TEXT + 0x210n, sp: STACK + 48n, bp: 0x1234n });
    if (typeof second !== 'object') throw new Error('no frame');
    expect(orc.caller(second)).toBe('end');
  });

  it('look up the call, not what is behind it', () => {
    // The return address is the first byte of the next stretch: a call at a function's very end.
    const orc = tables(rows, [TEXT + 0x100n, 9n, TEXT + 0x210n]);
    expect(orc.caller(start(TEXT))).toMatchObject({ ip: TEXT + 0x100n, sp: STACK + 8n });
    expect(orc.caller({ ip: TEXT + 0x100n, sp: STACK + 8n, bp: 0n, interrupted: false })).toMatchObject({
      ip: TEXT + 0x210n,
      sp: STACK + 24n,
      bp: 9n,
    });
  });

  it('pass through an interrupt to the code that it hit, and end at user mode', () => {
    const regs = Array.from({ length: 21 }, (_, i) => BigInt(i));
    const frame = (cs: bigint) => [...regs.slice(0, 16), TEXT + 0x105n, cs, 2n, STACK + 0x300n, 0x18n];
    const interrupt: Row[] = [[TEXT, 0, 0, SP, UNDEFINED, 1], ...rows.slice(2)];
    const kernel = tables(interrupt, frame(0x10n)).caller(start(TEXT + 5n));
    expect(kernel).toMatchObject({ ip: TEXT + 0x105n, sp: STACK + 0x300n, bp: 4n, interrupted: true });
    expect(tables(interrupt, frame(0x33n)).caller(start(TEXT + 5n))).toBe('end');
  });

  it('have the types of newer kernels too', () => {
    const modern: Row[] = [
      [TEXT, 8, 0, SP, UNDEFINED, 2],
      [TEXT + 0x100n, 0, 0, SP, UNDEFINED, 1],
      [TEXT + 0x200n, 0, 0, UNDEFINED, UNDEFINED, 0],
    ];
    const orc = tables(modern, [TEXT + 0x110n], 2);
    expect(orc.caller(start(TEXT + 5n))).toMatchObject({ ip: TEXT + 0x110n });
    expect(orc.caller(start(TEXT + 0x105n))).toBe('end');
    expect(orc.caller(start(TEXT + 0x205n))).toBeUndefined();
  });

  it('give nothing for code before them, or a stack that is not mapped', () => {
    const orc = tables(rows, []);
    expect(orc.caller(start(TEXT - 1n))).toBeUndefined();
    expect(orc.caller(start(TEXT + 5n))).toBeUndefined();
  });
});
