import { describe, expect, test } from 'vitest';
import { parseDomainConfig } from '../../../src/toolstack/xl/config.ts';
import { cpuidOverrides } from '../../../src/toolstack/xl/cpuid.ts';
import { CPUID_NAMES } from '../../../src/toolstack/xl/cpuid-names.ts';

const parse = (line: string) =>
  parseDomainConfig(`name = "a"\nkernel = "k"\nmemory = 64\ntype = "pvh"\n${line}`, 'f.cfg');
const refuse = (what: string): never => {
  throw new Error(what);
};
const overrides = (...entries: string[]) => cpuidOverrides(entries, refuse);
/** 32 characters, x but for `bits`: [bit, character]. */
const word = (...bits: [number, string][]): string => {
  const chars = [...'x'.repeat(32)];
  for (const [bit, c] of bits) chars[31 - bit] = c;
  return chars.join('');
};

describe("libxl's format", () => {
  test('names become bits of their leaves', () => {
    expect(overrides('host,tm=0,sse3=0')).toEqual([
      { leaf: 1, register: 'edx', bits: word([29, '0']) },
      { leaf: 1, register: 'ecx', bits: word([0, '0']) },
    ]);
    expect(overrides('host,avx2=k,smep=s,erms=1')).toEqual([
      { leaf: 7, subleaf: 0, register: 'ebx', bits: word([5, 'k'], [7, 's'], [9, '1']) },
    ]);
    expect(overrides('host')).toEqual([]);
  });

  test('two names of one bit, and the last value counts', () => {
    expect(overrides('host, sse4.1=0, sse4_1=x')).toEqual([{ leaf: 1, register: 'ecx', bits: word() }]);
  });

  test('numbers: family and model are split as the processor has them', () => {
    const eax = (text: string) => overrides(`host,${text}`)[0]!.bits;
    // Family 6 has no extended part; 0x17 is 15 + 8.
    expect(eax('family=6')).toBe(`xxxx00000000xxxxxxxx0110xxxxxxxx`);
    expect(eax('family=0x17')).toBe(`xxxx00001000xxxxxxxx1111xxxxxxxx`);
    expect(eax('model=0x3c')).toBe(`xxxxxxxxxxxx0011xxxxxxxx1100xxxx`);
    expect(eax('stepping=3')).toBe(`xxxxxxxxxxxxxxxxxxxxxxxxxxxx0011`);
    expect(overrides('host,maxleaf=7,nc=5')).toEqual([
      { leaf: 0, register: 'eax', bits: `${'0'.repeat(29)}111` },
      { leaf: 0x80000008, register: 'ecx', bits: `${'x'.repeat(24)}00000101` },
    ]);
  });

  test('every name has a place of its own, or a second name', () => {
    expect(CPUID_NAMES.size).toBeGreaterThan(190);
    const at = (f: object) => JSON.stringify(f);
    const seen = new Map<string, string[]>();
    for (const [name, field] of CPUID_NAMES) seen.set(at(field), [...(seen.get(at(field)) ?? []), name]);
    expect([...seen.values()].filter((names) => names.length > 1)).toEqual([
      ['sse4_1', 'sse4.1'],
      ['sse4_2', 'sse4.2'],
    ]);
    // Spot checks against the processors' manuals.
    expect(CPUID_NAMES.get('hypervisor')).toEqual({ leaf: 1, register: 'ecx', bit: 31, length: 1 });
    expect(CPUID_NAMES.get('pbe')).toEqual({ leaf: 1, register: 'edx', bit: 31, length: 1 });
    expect(CPUID_NAMES.get('avx512vl')).toEqual({ leaf: 7, subleaf: 0, register: 'ebx', bit: 31, length: 1 });
    expect(CPUID_NAMES.get('pks')).toEqual({ leaf: 7, subleaf: 0, register: 'ecx', bit: 31, length: 1 });
    expect(CPUID_NAMES.get('ssbd')).toEqual({ leaf: 7, subleaf: 0, register: 'edx', bit: 31, length: 1 });
    expect(CPUID_NAMES.get('wrmsrns')).toEqual({ leaf: 7, subleaf: 1, register: 'eax', bit: 19, length: 1 });
    expect(CPUID_NAMES.get('3dnow')).toEqual({ leaf: 0x80000001, register: 'edx', bit: 31, length: 1 });
    expect(CPUID_NAMES.get('ibpb-ret')).toEqual({ leaf: 0x80000008, register: 'ebx', bit: 30, length: 1 });
  });
});

describe("xend's format", () => {
  const bits = word([28, '0'], [12, '1']);

  test('leaf, subleaf, registers', () => {
    expect(overrides(`0x1:ecx=${bits},edx=${word()}`)).toEqual([
      { leaf: 1, register: 'ecx', bits },
      { leaf: 1, register: 'edx', bits: word() },
    ]);
    expect(overrides(`7,0:ebx=${bits}`)).toEqual([{ leaf: 7, subleaf: 0, register: 'ebx', bits }]);
  });

  test('a string replaces the whole register, a name its bits', () => {
    expect(overrides(`1:ecx=${bits}`, `1:ecx=${word([3, '1'])}`)).toEqual([
      { leaf: 1, register: 'ecx', bits: word([3, '1']) },
    ]);
  });
});

describe('in a configuration file', () => {
  test('both formats are kept as written', () => {
    expect(parse('cpuid = "host,avx=0"').config.cpuid).toEqual(['host,avx=0']);
    const leaf = `0x1:ecx=${word([28, '0'])}`;
    expect(parse(`cpuid = ["${leaf}"]`)).toMatchObject({ config: { cpuid: [leaf] }, warnings: [] });
    expect(parse('cpuid = ""').config.cpuid).toEqual([]);
  });

  const short = 'x'.repeat(31);
  test.each([
    ['cpuid = "avx=0"', 'f.cfg:5:9', 'a string starts with the word "host"'],
    ['cpuid = "host,avx"', 'f.cfg:5:9', '"avx" lacks "="'],
    ['cpuid = "host,awx=0"', 'f.cfg:5:9', 'unknown name "awx"; did you mean avx?'],
    ['cpuid = "host,avx=2"', 'f.cfg:5:9', 'avx="2" is none of 0, 1, x, k, s'],
    ['cpuid = "host,avx="', 'f.cfg:5:9', 'avx="" is none'],
    ['cpuid = "host,family=300"', 'f.cfg:5:9', 'family="300" is no number within 0 to 270'],
    ['cpuid = "host,stepping=q"', 'f.cfg:5:9', 'stepping="q" is no number'],
    ['cpuid = ["host,avx=0"]', 'f.cfg:5:10', 'is one string, without a list'],
    ['cpuid = [""]', 'f.cfg:5:10', 'an entry of the list is empty'],
    [`cpuid = ["0x1=${word()}"]`, 'f.cfg:5:10', 'does not start with LEAF:'],
    [`cpuid = ["0x1:ecx=${short}"]`, 'f.cfg:5:10', 'ecx of leaf 0x1 has 31 characters, not 32'],
    [`cpuid = ["0x1:ecx=${short}z"]`, 'f.cfg:5:10', 'ecx of leaf 0x1 holds "z"'],
    [`cpuid = ["0x1:efx=${word()}"]`, 'f.cfg:5:10', 'does not start with eax='],
    [`cpuid = ["0x1:"]`, 'f.cfg:5:10', 'does not start with eax='],
    [`cpuid = ["7:ebx=${word()}"]`, 'f.cfg:5:10', 'leaf 0x7 has subleaves'],
    [`cpuid = ["1,0:ecx=${word()}"]`, 'f.cfg:5:10', 'leaf 0x1 has no subleaves'],
    [`cpuid = ["0x20:eax=${word()}"]`, 'f.cfg:5:10', 'there is no leaf 0x20'],
    [`cpuid = ["0x123456789:eax=${word()}"]`, 'f.cfg:5:10', 'more than 32 bits'],
  ])('%s is an error at %s', (line, place, what) => {
    expect(() => parse(line)).toThrow(place);
    expect(() => parse(line)).toThrow(what);
  });

  test('what the processor has not stays off, with a warning', () => {
    expect(parse('cpuid = "host,avx512f=1,avx2=1"').warnings).toMatchObject([
      { line: 5, text: 'cpuid: avx512f=1 has no effect: the processor cannot do that, or lacks what it needs' },
    ]);
    expect(parse('cpuid = "host,avx=0,fma=1"').warnings[0]!.text).toContain('fma=1 has no effect');
    expect(parse('cpuid = "host,localapicid=8"').warnings[0]!.text).toContain(
      'bit 27 of ebx of leaf 0x1=1 has no effect',
    );
    expect(parse('cpuid = "host,family=6,model=158,clflush=4,maxleaf=4"').warnings).toEqual([]);
  });
});
