import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { smallGuest, smallGuests } from '../support/images.ts';

const sources = readdirSync(smallGuests).filter((name) => name.endsWith('.c'));
const names = sources.map((name) => name.slice(0, -2));

test('there are guests, and each source has its built image beside it', () => {
  expect(names).toEqual(expect.arrayContaining(['hello', 'ticker', 'ring-front', 'ring-back', 'faults', 'spinner']));
  expect(
    readdirSync(smallGuests)
      .filter((name) => name.endsWith('.elf'))
      .sort(),
  ).toEqual(names.map((name) => `${name}.elf`).sort());
});

describe.each(names)('%s', (name) => {
  const path = smallGuest(name);
  const bytes = readFileSync(path);

  test('is a small ELF64 for x86-64', () => {
    expect(bytes.subarray(0, 5)).toEqual(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2]));
    expect(bytes.readUInt16LE(18)).toBe(62); // EM_X86_64
    expect(statSync(path).size).toBeLessThan(90_000);
  });

  test('has the PHYS32_ENTRY note, which names its entry point', () => {
    // One note: name size 4, description size 4, type 18, "Xen\0" (xen/include/public/elfnote.h).
    const at = bytes.indexOf(Buffer.from([4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 0x58, 0x65, 0x6e, 0]));
    expect(at).toBeGreaterThan(0);
    expect(bytes.readUInt32LE(at + 16)).toBe(Number(bytes.readBigUInt64LE(24)));
  });

  test('keeps its symbols', () => {
    expect(bytes.includes('guest_main')).toBe(true);
    expect(bytes.includes('trap_dispatch')).toBe(true);
  });

  test('names no place of the machine that built it', () => {
    expect(bytes.includes(join(smallGuests, ''))).toBe(false);
  });
});
