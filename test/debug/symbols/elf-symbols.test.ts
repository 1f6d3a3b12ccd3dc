import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elfSymbols } from '../../../src/debug/symbols/elf-symbols.ts';
import { smallGuest } from '../../support/images.ts';

describe('symbols of an ELF image', () => {
  const image = new Uint8Array(readFileSync(smallGuest('hello')));
  const table = elfSymbols(image)!;

  it('go from names to addresses and back', () => {
    const main = table.address('boot_main')!;
    expect(main).toBeGreaterThan(0n);
    expect(table.find(main + 3n)).toEqual({ name: 'boot_main', address: main, offset: 3n });
    expect(table.name(main)).toBe('boot_main');
    expect(table.name(main + 3n)).toBe('boot_main+0x3');
    expect(table.isCode(main)).toBe(true);
    expect(table.source).toBe('elf');
    expect(table.address('no_such_function')).toBeUndefined();
    expect(table.name(0xffff_ffff_ffff_ffffn)).toBeUndefined();
  });

  it('are none in what has none', () => {
    expect(elfSymbols(new Uint8Array(0))).toBeUndefined();
    expect(elfSymbols(new TextEncoder().encode('#!/bin/sh\n'.repeat(20)))).toBeUndefined();
    const stripped = image.slice();
    new DataView(stripped.buffer).setUint16(0x3c, 0, true); // no sections
    expect(elfSymbols(stripped)).toBeUndefined();
  });

  it('stand damaged images', () => {
    const change = fc.tuple(fc.nat(image.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), fc.nat(image.length), (changes, length) => {
        const bad = image.slice(0, length);
        for (const [at, value] of changes) bad[at] = value;
        elfSymbols(bad)?.name(0x100000n);
      }),
      { numRuns: 200 },
    );
  });
});
