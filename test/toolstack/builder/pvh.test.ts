import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ImageError } from '../../../src/toolstack/builder/image.ts';
import { buildPvh, type PvhOptions } from '../../../src/toolstack/builder/pvh.ts';
import { OutOfFrames } from '../../../src/memory/frames.ts';
import { debianImage, testWithImages } from '../../support/images.ts';
import { FakeTarget } from '../fake-target.ts';
import { concat, makeElf, note, pvhKernel, u32 } from './make-elf.ts';

const options: PvhOptions = {
  memoryMiB: 8,
  maxVcpus: 2,
  vcpus: 1,
  acpi: true,
  storePort: 1,
  consolePort: 2,
  serviceDomain: 0,
};
const image = (bytes: Uint8Array, name = 'k') => ({ name, bytes });
const text = (b: Uint8Array) => new TextDecoder('latin1').decode(b.subarray(0, b.indexOf(0)));

describe('PVH builder', () => {
  test('loads segments, zeroes the rest, starts at the note’s entry', () => {
    const target = new FakeTarget();
    const code = Uint8Array.from({ length: 5000 }, (_, i) => i);
    const built = buildPvh(target, { kernel: image(pvhKernel(code, 9000)), cmdline: '' }, options);
    expect(target.memory.read(0x100000, 5000)).toEqual(code);
    expect(target.memory.read(0x100000 + 5000, 4000)).toEqual(new Uint8Array(4000));
    expect(built.entry).toBe(0x100000);
    expect(target.start).toEqual({ entry: 0x100000, startInfo: 0x103000 });
  });

  test('start_info version 1 with command line, module and memory map', () => {
    const target = new FakeTarget();
    const ramdisk = Uint8Array.from({ length: 6000 }, (_, i) => i * 7);
    const { startInfo: at } = buildPvh(
      target,
      { kernel: image(pvhKernel()), ramdisk: image(ramdisk), cmdline: 'console=hvc0 ü' },
      options,
    );
    const m = target.memory;
    expect(at).toBe(0x103000);
    expect([0, 4, 8, 12].map((o) => m.readU32(at + o))).toEqual([0x336ec578, 1, 0, 1]);
    const module = Number(m.readU64(at + 16));
    expect([m.readU64(module), m.readU64(module + 8)]).toEqual([0x101000n, 6000n]);
    expect(m.read(0x101000, 6000)).toEqual(ramdisk);
    expect(new TextDecoder().decode(m.read(Number(m.readU64(at + 24)), 16)).split('\0')[0]).toBe('console=hvc0 ü');
    expect(m.readU64(at + 32)).toBe(0xfc008000n);
    const map = Number(m.readU64(at + 40));
    const rows = Array.from({ length: m.readU32(at + 48) }, (_, i) => [
      m.readU64(map + i * 24),
      m.readU64(map + i * 24 + 8),
      m.readU32(map + i * 24 + 16),
    ]);
    expect(rows).toEqual([
      [0n, 0x800000n, 1],
      [0xfeff8000n, 0x8000n, 2],
      [0xfc008000n, 64n, 3],
      [0xfc000000n, 0x1000n, 3],
      [0xfc001000n, 0x7000n, 3],
    ]);
    expect(target.map).toHaveLength(5);
  });

  test('special pages, parameters and grants are those of real Xen', () => {
    const target = new FakeTarget();
    buildPvh(target, { kernel: image(pvhKernel()), cmdline: '' }, options);
    const p = target.params;
    expect([1, 2, 17, 18].map((i) => p.get(i))).toEqual([1044476n, 1n, 1044479n, 2n]);
    expect(p.get(12)).toBe(0xfeffe000n);
    expect(target.memory.readU32(0xfeffe000 + 4)).toBe(0x4000e7);
    expect(target.grants).toEqual([
      [0, 0, 0xfefff],
      [1, 0, 0xfeffc],
    ]);
    expect(target.memory.p2m.mfn(0x7ff)).toBeGreaterThan(0);
    expect(target.memory.p2m.mfn(0x800)).toBe(-1);
  });

  test('a gzip ramdisk is unpacked as libxenguest does; a gzip behind a cpio is not', () => {
    const plain = new Uint8Array(5000).fill(7);
    const packed = new Uint8Array(gzipSync(plain));
    const size = (ramdisk: Uint8Array) => {
      const target = new FakeTarget();
      const { startInfo } = buildPvh(
        target,
        { kernel: image(pvhKernel()), ramdisk: image(ramdisk), cmdline: '' },
        options,
      );
      return Number(target.memory.readU64(Number(target.memory.readU64(startInfo + 16)) + 8));
    };
    expect(size(packed)).toBe(5000);
    expect(size(concat(new Uint8Array(512), packed))).toBe(512 + packed.length);
    expect(size(concat(packed, Uint8Array.of(1, 2, 3, 4)))).toBe(packed.length + 4);
  });

  test('ACPI tables: checksums, links, one local APIC a vcpu', () => {
    const target = new FakeTarget();
    buildPvh(target, { kernel: image(pvhKernel()), cmdline: '' }, { ...options, maxVcpus: 3, vcpus: 2 });
    const m = target.memory;
    const sum = (at: number, n: number) => m.read(at, n).reduce((a, b) => (a + b) & 255, 0);
    const rsdp = 0xfc008000;
    expect(text(m.read(rsdp, 9).fill(0, 8))).toBe('RSD PTR ');
    expect([sum(rsdp, 20), sum(rsdp, 36)]).toEqual([0, 0]);
    const xsdt = Number(m.readU64(rsdp + 24));
    const name = (at: number) => text(concat(m.read(at, 4), Uint8Array.of(0)));
    const checked = (at: number) => [name(at), sum(at, m.readU32(at + 4))];
    expect(checked(xsdt)).toEqual(['XSDT', 0]);
    const [fadt, madt] = [Number(m.readU64(xsdt + 36)), Number(m.readU64(xsdt + 44))];
    expect(checked(fadt)).toEqual(['FACP', 0]);
    expect([fadt, m.readU32(fadt + 4)]).toEqual([0xfc007d60, 0x10c]);
    expect(checked(m.readU32(fadt + 40))).toEqual(['DSDT', 0]);
    expect(name(m.readU32(fadt + 36))).toBe('FACS');
    expect(checked(madt)).toEqual(['APIC', 0]);
    expect(madt).toBe(0xfc007e70);
    expect(m.readU32(madt + 36)).toBe(0xfee00000);
    expect(Array.from(m.read(madt + 44, 24))).toEqual(
      [
        [0, 8, 0, 0, 1, 0, 0, 0],
        [0, 8, 1, 2, 1, 0, 0, 0],
        [0, 8, 2, 4, 0, 0, 0, 0],
      ].flat(),
    );
  });

  test('with one vcpu the XSDT lies where real Xen puts it', () => {
    const target = new FakeTarget();
    buildPvh(target, { kernel: image(pvhKernel()), cmdline: '' }, { ...options, maxVcpus: 1 });
    expect(target.memory.readU64(0xfc008000 + 24)).toBe(0xfc007f50n);
  });

  test('acpi = 0 leaves the tables away', () => {
    const target = new FakeTarget();
    const { startInfo } = buildPvh(target, { kernel: image(pvhKernel()), cmdline: '' }, { ...options, acpi: false });
    expect(target.memory.readU64(startInfo + 32)).toBe(0n);
    expect(target.map).toHaveLength(2);
  });

  const xen = (entry: number) => ({ type: 4, paddr: 0, data: note('Xen', 18, u32(entry)), memSize: 0 });
  const one = Uint8Array.of(0xf4);
  test.each<[string, Uint8Array, string]>([
    [
      'PV kernel',
      makeElf(64, [
        { paddr: 0x100000, data: one },
        { type: 4, paddr: 0, data: note('Xen', 1, u32(0)) },
      ]),
      'no PHYS32_ENTRY note, so this is no PVH kernel (its notes are those of a PV kernel)',
    ],
    ['no notes', makeElf(64, [{ paddr: 0x100000, data: one }]), 'it has no Xen notes'],
    [
      'too large',
      makeElf(32, [{ paddr: 0x100000, data: one, memSize: 1 << 30 }, xen(0x100000)]),
      'memory = 8; raise memory',
    ],
    ['beyond memory', makeElf(64, [{ paddr: 2 ** 45, data: one }, xen(0x100000)]), 'raise memory'],
    [
      'entry elsewhere',
      makeElf(32, [{ paddr: 0x100000, data: one }, xen(0x200000)]),
      'PHYS32_ENTRY 0x200000 is in no loaded segment',
    ],
    ['nothing to load', makeElf(32, [xen(0x100000)]), 'no loadable segment'],
    [
      'note too long',
      makeElf(32, [
        { paddr: 0x100000, data: one },
        { type: 4, paddr: 0, data: note('Xen', 18, new Uint8Array(5)) },
      ]),
      'holds a number, but of 5 bytes',
    ],
    ['text', new TextEncoder().encode('#!/bin/sh\necho hello\n'), 'neither an ELF file nor a Linux bzImage'],
    ['empty', new Uint8Array(0), 'k: offset 0x0:'],
  ])('refuses: %s', (_, bytes, message) => {
    const target = new FakeTarget();
    const build = () => buildPvh(target, { kernel: image(bytes), cmdline: '' }, options);
    expect(build).toThrow(ImageError);
    expect(build).toThrow(message);
    expect(target.memory.p2m.entries().next().done).toBe(true);
  });

  test('a ramdisk that does not fit is an ImageError', () => {
    const build = () =>
      buildPvh(
        new FakeTarget(),
        { kernel: image(pvhKernel()), ramdisk: image(new Uint8Array(9 << 20)), cmdline: '' },
        options,
      );
    expect(build).toThrow(/its ramdisk and start information need 11 MiB, but memory = 8/);
  });

  test('too little machine memory is OutOfFrames', () => {
    const build = () => buildPvh(new FakeTarget(4), { kernel: image(pvhKernel()), cmdline: '' }, options);
    expect(build).toThrow(OutOfFrames);
  });

  testWithImages('GRUB for PVH', [debianImage('usr/lib/grub-xen/grub-i386-xen_pvh.bin')], (path) => {
    const target = new FakeTarget(32);
    const bytes = new Uint8Array(readFileSync(path));
    const built = buildPvh(target, { kernel: image(bytes), cmdline: '' }, { ...options, memoryMiB: 32 });
    expect(built.entry).toBe(0x100000);
    expect(target.memory.read(0x100000, 16)).toEqual(bytes.subarray(0x1000, 0x1010));
    expect(built.startInfo).toBe(0x298000);
  });

  testWithImages('Linux cloud kernel', [debianImage('boot/vmlinuz-*-cloud-amd64')], (path) => {
    const target = new FakeTarget(128);
    const kernel = image(new Uint8Array(readFileSync(path)));
    const built = buildPvh(target, { kernel, cmdline: 'console=hvc0' }, { ...options, memoryMiB: 128 });
    expect(built.entry).toBe(0x1000850);
    expect(built.startInfo % 4096).toBe(0);
  });
});
