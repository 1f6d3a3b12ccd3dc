import { execFileSync } from 'node:child_process';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { kernelElf } from '../../../src/toolstack/builder/bzimage.ts';
import { parseElf } from '../../../src/toolstack/builder/elf.ts';
import { ImageError } from '../../../src/toolstack/builder/image.ts';
import { hasFeature, readXenNotes } from '../../../src/toolstack/builder/xen-notes.ts';
import { testIf } from '../../support/images.ts';
import { concat, makeBzImage, makeElf, note, pvhKernel, u32 } from './make-elf.ts';

const image = (bytes: Uint8Array) => ({ name: 'k', bytes });
const LIMIT = 1 << 24;

describe('ELF', () => {
  test.each([32, 64] as const)('%i bit: segments and notes', (bits) => {
    const notes = concat(
      note('Xen', 6, new TextEncoder().encode('linux\0')),
      note('GNU', 3, new Uint8Array(20)),
      note('Xen', 17, u32(1 << 15)),
      note('Xen', 10, new TextEncoder().encode('!writable_page_tables|pae_pgdir_above_4gb\0')),
      note('Xen', 18, u32(0x1000850)),
    );
    const elf = parseElf(
      image(
        makeElf(
          bits,
          [
            { paddr: 0x1000000, data: Uint8Array.of(1, 2), memSize: 100 },
            { type: 4, paddr: 0, data: notes },
          ],
          77,
        ),
      ),
    );
    expect(elf).toMatchObject({ bits, entry: 77n });
    expect(elf.segments[0]).toMatchObject({ type: 1, paddr: 0x1000000, fileSize: 2, memSize: 100 });
    const xen = readXenNotes(elf);
    expect(xen).toMatchObject({ guestOs: 'linux', phys32Entry: 0x1000850n });
    expect([0, 4, 15, 11].map((f) => hasFeature(xen, f))).toEqual([true, true, true, false]);
  });

  const patched = (at: number, bytes: number[], bits: 32 | 64 = 64) => {
    const elf = makeElf(bits, [{ paddr: 0x1000, data: new Uint8Array(64) }]);
    elf.set(bytes, at);
    return elf;
  };
  test.each<[string, Uint8Array, string]>([
    ['magic', patched(0, [0]), 'offset 0x0: this is no ELF file'],
    ['class', patched(4, [3]), 'offset 0x4: ELF class 3'],
    ['endianness', patched(5, [2]), 'not little-endian'],
    ['type', patched(16, [1]), 'is no executable'],
    ['machine', patched(18, [183]), 'ELF machine 183 is not x86'],
    ['no headers', patched(56, [0, 0]), 'no program headers'],
    ['many headers', patched(56, [255, 255]), '65535 program headers are more than 256'],
    ['tiny headers', patched(54, [8, 0]), 'program headers of 8 bytes'],
    ['headers far away', patched(32, [0xff, 0xff, 0xff, 0x7f]), 'the image has only'],
    ['headers beyond 2^52', patched(32, Array(8).fill(0xff)), 'beyond the physical address space'],
    ['file size', patched(64 + 32, [0xff, 0xff]), 'leave the file'],
    ['memory less than file', patched(64 + 40, [1]), 'takes 1 bytes of memory but 64'],
    ['physical wrap', patched(64 + 24, [0, 0, 0, 0, 0, 0, 0x10, 0]), 'beyond the physical address space'],
  ])('refuses: %s', (_, bytes, message) => {
    expect(() => parseElf(image(bytes))).toThrow(ImageError);
    expect(() => parseElf(image(bytes))).toThrow(message);
  });

  test('notes whose sizes lie are cut or refused, never read outside', () => {
    const long = note('Xen', 9, new TextEncoder().encode('yes\0'));
    long[4] = 12; // as in GRUB's own PAE_MODE note
    const elf = parseElf(image(makeElf(32, [{ type: 4, paddr: 0, data: long }])));
    expect(readXenNotes(elf).paeMode).toBe('yes');
    const hostile = note('Xen', 9, new Uint8Array(4));
    hostile.fill(0xff, 0, 8);
    expect(() => parseElf(image(makeElf(32, [{ type: 4, paddr: 0, data: hostile }])))).toThrow(ImageError);
  });
});

describe('kernel images', () => {
  const elf = pvhKernel(Uint8Array.from({ length: 100_000 }, (_, i) => (i * i) >> 7));
  const withSize = (packed: Uint8Array) => concat(packed, u32(elf.length));
  /** A legacy LZ4 frame of literals only, and one that repeats a byte by an overlapping match. */
  const lz4Literals = (data: Uint8Array): Uint8Array => {
    const extra = data.length - 15;
    const block = concat(Uint8Array.of(0xf0, ...Array(Math.floor(extra / 255)).fill(255), extra % 255), data);
    return concat(u32(0x184c2102), u32(block.length), block);
  };

  test.each<[string, Uint8Array]>([
    ['ELF', elf],
    ['gzip of ELF', gzipSync(elf)],
    ['bzImage of gzip', makeBzImage(gzipSync(elf))],
    ['bzImage of zstd', makeBzImage(withSize(zstdCompressSync(elf)))],
    ['bzImage of lz4', makeBzImage(withSize(lz4Literals(elf)))],
    ['bzImage of nothing', makeBzImage(elf)],
    ['gzip of bzImage', gzipSync(makeBzImage(gzipSync(elf)))],
  ])('%s', (_, bytes) => {
    expect(Buffer.from(kernelElf(image(new Uint8Array(bytes)), LIMIT).bytes).equals(elf)).toBe(true);
  });

  for (const [tool, args] of [
    ['xz', ['--check=crc32', '--x86', '--lzma2=dict=1MiB']],
    ['xz', ['--check=crc32', '-0']],
    ['xz', ['--check=none', '-9e', '--lzma2=lc=0,lp=3,pb=1']],
    ['lz4', ['-l', '-9']],
  ] as const)
    testIf(has(tool), `needs ${tool}`, `${tool} ${args.join(' ')} packs what we unpack`, () => {
      const code = Uint8Array.from({ length: 300_000 }, (_, i) =>
        i % 7 === 0 ? 0xe8 : i % 5 === 0 ? 0xff : (i >> 9) * (i % 11),
      );
      const kernel = pvhKernel(code);
      const packed = new Uint8Array(execFileSync(tool, [...args, '-c'], { input: kernel }));
      const bz = makeBzImage(concat(packed, u32(kernel.length)));
      expect(Buffer.from(kernelElf(image(bz), LIMIT).bytes).equals(kernel)).toBe(true);
      for (const at of [...Array(60).keys(), packed.length >> 1, packed.length - 60, packed.length - 5]) {
        const damaged = packed.slice();
        damaged[at] = damaged[at]! ^ 0x10;
        const result = () => kernelElf(image(makeBzImage(concat(damaged, u32(kernel.length)))), LIMIT).bytes;
        if (args.some((a) => a === '--check=crc32')) expect(result).toThrow(ImageError);
      }
    });

  test.each<[string, Uint8Array, string]>([
    [
      'bzip2',
      makeBzImage(concat(Uint8Array.of(0x42, 0x5a, 0x68), new Uint8Array(20))),
      'packed with bzip2 is not supported',
    ],
    ['unknown packing', makeBzImage(new Uint8Array(20).fill(0xaa)), 'no packing that Linux uses'],
    ['old protocol', makeBzImage(gzipSync(elf), 0x207), 'boot protocol 2.7 does not tell'],
    ['payload outside', makeBzImage(gzipSync(elf)).slice(0, -10), 'is it truncated?'],
    ['damaged gzip', makeBzImage(gzipSync(elf).fill(0x55, 20, 60)), 'cannot be unpacked'],
    ['gzip of text', gzipSync('hello hello hello hello'), 'neither an ELF file nor a bzImage is within'],
    ['payload no ELF', makeBzImage(gzipSync('hello hello hello hello')), 'payload is no ELF file'],
    [
      'announced too large',
      makeBzImage(concat(zstdCompressSync(elf), u32(0xffffffff))),
      "more than the domain's memory",
    ],
    ['gzip bomb', gzipSync(new Uint8Array(LIMIT + 1)), 'cannot be unpacked'],
  ])('refuses: %s', (_, bytes, message) => {
    const run = () => kernelElf(image(new Uint8Array(bytes)), LIMIT);
    expect(run).toThrow(ImageError);
    expect(run).toThrow(message);
  });
});

describe('hostile images', () => {
  const good = [
    pvhKernel(new Uint8Array(200)),
    makeElf(64, [
      { paddr: 0x100000, data: new Uint8Array(99) },
      { type: 4, paddr: 0, data: note('Xen', 18, u32(0x100000)) },
    ]),
    makeBzImage(new Uint8Array(gzipSync(pvhKernel(new Uint8Array(200))))),
    makeBzImage(concat(new Uint8Array(zstdCompressSync(pvhKernel(new Uint8Array(200)))), u32(400))),
  ];
  const only = (bytes: Uint8Array) => {
    try {
      readXenNotes(parseElf(kernelElf(image(bytes), 1 << 20)));
    } catch (e) {
      if (!(e instanceof ImageError)) throw e;
      expect(e.message).toMatch(/^k.*: offset 0x[0-9a-f]+: ./);
    }
  };
  test('every truncation', () => {
    for (const bytes of good) for (let n = 0; n < bytes.length; n++) only(bytes.slice(0, n));
  });
  test('random damage', () => {
    const damage = fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.constantFrom(...good), damage, (bytes, hits) => {
        const copy = bytes.slice();
        for (const [at, value] of hits) copy[at % (at % 3 === 0 ? copy.length : Math.min(copy.length, 160))] = value;
        only(copy);
      }),
      { numRuns: 3000 },
    );
  });
  test('random bytes behind each magic', () => {
    const heads = [[0x7f, 0x45, 0x4c, 0x46, 2, 1], [0x7f, 0x45, 0x4c, 0x46, 1, 1], [0x1f, 0x8b, 8], []];
    fc.assert(
      fc.property(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 400 }), (head, rest) =>
        only(concat(Uint8Array.from(head), rest)),
      ),
      { numRuns: 3000 },
    );
  });
  test('random bytes as packed payloads', () => {
    const heads = [u32(0x184c2102), Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0), u32(0xfd2fb528)];
    fc.assert(
      fc.property(fc.constantFrom(...heads), fc.uint8Array({ minLength: 16, maxLength: 300 }), (head, rest) =>
        only(makeBzImage(concat(head, rest, u32(5000)))),
      ),
      { numRuns: 3000 },
    );
  });
});

function has(tool: string): boolean {
  try {
    execFileSync(tool, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
