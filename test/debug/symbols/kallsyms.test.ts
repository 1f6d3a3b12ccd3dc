import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kallsyms } from '../../../src/debug/symbols/kallsyms.ts';
import type { ReadLinear } from '../../../src/debug/symbols/linear-reader.ts';
import { makeKallsyms, someSymbols } from './make-kallsyms.ts';

const BASE = 0xffffffff81000000n;

/** Memory that is mapped from `start` on, in whole pages. */
function memoryAt(start: bigint, content: Uint8Array): ReadLinear {
  const mapped = Math.ceil(content.length / 4096) * 4096;
  return (linear, length) => {
    const at = Number(linear - start);
    if (at < 0 || at + length > mapped) return undefined;
    const out = new Uint8Array(length);
    out.set(content.subarray(at, at + length));
    return out;
  };
}

/** The tables amid a kernel's other bytes. */
function kernel(tables: Buffer, before = 5000): Uint8Array {
  const noise = Buffer.from(Array.from({ length: Math.floor(before / 8) * 8 }, (_, i) => (i * 7919) & 0xff));
  return Buffer.concat([noise, tables, noise]);
}

const layouts = {
  'Linux 6.1, one processor': {},
  'Linux 6.1, SMP': { absolutePercpu: true },
  'Linux 6.2, with sequence numbers': { absolutePercpu: true, sequences: true },
  'Linux 6.4 and later': { absolutePercpu: true, addressesLast: true },
};

describe('kallsyms', () => {
  it.each(Object.entries(layouts))('are found in the layout of %s', (_, layout) => {
    const symbols = someSymbols(3000, BASE, 'absolutePercpu' in layout);
    const memory = memoryAt(BASE + 0x200000n, kernel(makeKallsyms(symbols, BASE, layout)));
    const table = kallsyms(memory)!;
    expect(table).toMatchObject({ source: 'kallsyms', size: symbols.length });
    for (const { name, address, type } of symbols) {
      expect(table.address(name)).toBe(address);
      if (address < BASE) continue;
      expect(table.name(address)).toBe(name);
      expect(table.name(address + 5n)).toBe(`${name}+0x5`);
      expect(table.isCode(address)).toBe(type === 'T');
    }
    expect(table.name(BASE - 1n)).toBeUndefined();
    // Per-cpu symbols are offsets, not addresses.
    expect(table.name(1n)).toBeUndefined();
  });

  it('are found wherever the kernel and the tables lie', () => {
    for (const [slide, before] of [
      [0n, 8],
      [0x1e600000n, 4096],
      [0x3c000000n, 3 << 20],
    ] as const) {
      const base = BASE + slide;
      if (base > 0xffffffffb0000000n && before > 1 << 20) continue;
      const memory = memoryAt(base, kernel(makeKallsyms(someSymbols(2500, base), base), before));
      expect(kallsyms(memory)?.name(base + 33n)).toBe('function_1+0x1');
    }
  });

  it('are not found where there are none', () => {
    expect(kallsyms(() => undefined)).toBeUndefined();
    expect(kallsyms(memoryAt(BASE, new Uint8Array(1 << 20)))).toBeUndefined();
  });

  it('stand no damage: the same symbols, fewer checks passed, or none, but no crash', () => {
    const good = kernel(makeKallsyms(someSymbols(2500, BASE, true), BASE, { absolutePercpu: true }), 64);
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 40 }), (changes) => {
        const bad = Uint8Array.from(good);
        for (const [at, value] of changes) bad[at] = value;
        const table = kallsyms(memoryAt(BASE, bad));
        for (const place of [table?.find(BASE + 40n)]) if (place) expect(place.name).toMatch(/^[\x21-\x7e]+$/);
      }),
      { numRuns: 60 },
    );
  });

  it('does not let hostile memory keep it', () => {
    const digits = Buffer.from('0\u00001\u00002\u00003\u00004\u00005\u00006\u00007\u00008\u00009\u0000', 'latin1');
    const table = makeKallsyms(someSymbols(2500, BASE), BASE);
    const markersLike = Buffer.from(Int32Array.from({ length: 1 << 18 }, (_, i) => (i % 16) * 1000).buffer);
    const pieces = [Buffer.alloc(4 << 20, digits), markersLike, table.subarray(table.length >> 1)];
    const memory = memoryAt(BASE, Buffer.concat(pieces));
    const started = performance.now();
    expect(kallsyms(memory)).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
