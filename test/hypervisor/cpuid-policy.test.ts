import { describe, expect, test } from 'vitest';
import { CR4, EFER } from '../../src/cpu/state.ts';
import { cpuid } from '../../src/hypervisor/hvm/cpuid.ts';
import { BASELINE_FEATURES, ENGINE_FEATURES } from '../../src/hypervisor/hvm/cpu-features.ts';
import { type CpuidOverride, cpuidPolicy } from '../../src/hypervisor/hvm/cpuid-policy.ts';
import { cpuidOverrides } from '../../src/toolstack/xl/cpuid.ts';
import { CPUID_NAMES } from '../../src/toolstack/xl/cpuid-names.ts';

const overrides = (...entries: string[]): CpuidOverride[] =>
  cpuidOverrides(entries, (what) => {
    throw new Error(what);
  });
const leafOf = (policy: ReturnType<typeof cpuidPolicy>, leaf: number, subleaf = 0) => {
  const out = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  cpuid(leaf, subleaf, { vcpuId: 3, domainId: 1, policy, osxsave: false, tscOffset: 0n }, out);
  return out;
};
/** Names of the feature bits that a guest sees. */
const shown = (...entries: string[]): Set<string> => {
  const policy = cpuidPolicy(overrides(...entries));
  const bitSet = ({ leaf, subleaf, register, bit }: { leaf: number; subleaf?: number; register: 'eax'; bit: number }) =>
    ((leafOf(policy, leaf, subleaf)[register] >>> bit) & 1) === 1;
  return new Set([...CPUID_NAMES].filter(([, f]) => f.length === 1 && bitSet(f as never)).map(([name]) => name));
};
const lost = (...entries: string[]): string[] => {
  const rest = shown(...entries);
  return [...shown()].filter((name) => !rest.has(name));
};

describe('a domain without changes', () => {
  test('sees AVX2 and all that goes with it', () => {
    for (const name of 'sse4_2 avx avx2 fma f16c bmi2 movbe vaes vpclmulqdq gfni avx-vnni pcid invpcid rdpid clwb xsave'.split(
      ' ',
    ))
      expect(shown(), name).toContain(name);
    for (const name of 'avx512f rdrand rdseed monitor vmx svm mpx pku hle rtm tsc_adjust osxsave'.split(' '))
      expect(shown(), name).not.toContain(name);
  });

  test('leaf 0xd describes three components', () => {
    const policy = cpuidPolicy();
    expect(leafOf(policy, 0xd, 0)).toMatchObject({ eax: 7, ecx: 832, edx: 0 });
    expect(leafOf(policy, 0xd, 1)).toMatchObject({ eax: 7, ecx: 0, edx: 0 });
    expect(leafOf(policy, 0xd, 2)).toEqual({ eax: 256, ebx: 576, ecx: 0, edx: 0 });
    expect(leafOf(policy, 0xd, 3)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
    expect(leafOf(policy, 7, 0).eax).toBe(1);
    expect(leafOf(policy, 7, 1).eax).toBe(1 << 4);
  });

  test('has what a plain AMD64 processor under Xen has', () => {
    for (const word of ['ecx', 'edx', 'extEcx', 'extEdx'] as const)
      expect(ENGINE_FEATURES[word] & BASELINE_FEATURES[word]).toBe(BASELINE_FEATURES[word] | 0);
    // shared/reference/xen-4.17/cpuid-pvh64.txt
    expect([BASELINE_FEATURES.ecx, BASELINE_FEATURES.edx]).toEqual([0x80202001, 0x178bfbfd]);
    expect([BASELINE_FEATURES.extEcx, BASELINE_FEATURES.extEdx]).toEqual([1, 0x2193fbfd]);
  });
});

describe('masks', () => {
  test.each([
    ['host,avx2=0', 'avx2 vaes vpclmulqdq avx-vnni'],
    ['host,avx=0', 'fma avx f16c avx2 vaes vpclmulqdq avx-vnni'],
    ['host,xsave=0', 'fma xsave avx f16c avx2 vaes vpclmulqdq avx-vnni'],
    ['host,sse3=0', 'sse3 ssse3 sse4_1 sse4.1 sse4_2 sse4.2'],
    ['host,pcid=0', 'pcid invpcid'],
    ['host,tsc=0', 'tsc rdtscp invtsc'],
    ['host,apic=0', 'x2apic apic'],
    ['host,lahfsahf=0', 'lahfsahf'],
    ['host,invtsc=0,lfence+=0', 'invtsc lfence+'],
    [`0x1:ecx=${'0'.repeat(32)}`, ''],
  ])('%s takes away what needs it, too: %s', (entry, names) => {
    if (names !== '') expect(lost(entry).sort()).toEqual(names.split(' ').sort());
    else expect(shown(entry)).not.toContain('hypervisor');
  });

  test('the bits that leaf 0x80000001 repeats follow leaf 1', () => {
    const policy = cpuidPolicy(overrides('host,cmov=0'));
    expect(leafOf(policy, 1).edx & (1 << 15)).toBe(0);
    expect(leafOf(policy, 0x80000001).edx & (1 << 15)).toBe(0);
  });

  test('without AVX, leaf 0xd knows two components; without XSAVE none', () => {
    const noAvx = cpuidPolicy(overrides('host,avx=0'));
    expect(leafOf(noAvx, 0xd, 0)).toMatchObject({ eax: 3, ecx: 576 });
    expect(leafOf(noAvx, 0xd, 2)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
    expect(noAvx.offered.xcr0).toBe(3n);
    const none = cpuidPolicy(overrides('host,xsave=0'));
    for (const subleaf of [0, 1, 2]) expect(leafOf(none, 0xd, subleaf)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
    expect(none.offered.cr4 & BigInt(CR4.OSXSAVE)).toBe(0n);
  });

  test('nothing can be switched on that the processor has not', () => {
    expect(shown('host,avx512f=1,rdrand=1,svm=1,monitor=1')).toEqual(shown());
    expect(shown(`7,0:ebx=${'1'.repeat(32)}`)).toEqual(shown());
  });

  test('x, k and s are what the processor has', () => {
    expect(shown('host,avx=k,sse3=s,avx2=x,rdrand=k')).toEqual(shown());
    expect(shown(`1:ecx=${'k'.repeat(32)},edx=${'s'.repeat(32)}`)).toEqual(shown());
  });

  test('family, model, stepping, leaves and other numbers', () => {
    const policy = cpuidPolicy(
      overrides('host,family=0x17,model=0x31,stepping=2,clflush=4,maxleaf=7,maxhvleaf=1,nc=7'),
    );
    expect(leafOf(policy, 1).eax).toBe(0x00830f12);
    expect(leafOf(policy, 1).ebx).toBe((3 << 25) | 0x00020400);
    expect(leafOf(policy, 0).eax).toBe(7);
    expect(leafOf(policy, 0xd).eax).toBe(0);
    // Xen never shows fewer than the leaf of the hypercall page.
    expect(leafOf(policy, 0x40000000).eax).toBe(0x40000002);
    expect(leafOf(policy, 0x40000003)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
    expect(leafOf(policy, 0x80000008).ecx).toBe(7);
    expect(leafOf(cpuidPolicy(overrides('host,maxleaf=200,maxhvleaf=0')), 0).eax).toBe(0xd);
  });

  test('the vendor can be another', () => {
    const text = (s: string) => Buffer.from(s).readUInt32LE().toString(2).padStart(32, '0');
    const policy = cpuidPolicy(overrides(`0:ebx=${text('Genu')},edx=${text('ineI')},ecx=${text('ntel')}`));
    const { ebx, ecx, edx } = leafOf(policy, 0);
    expect(Buffer.from(Uint32Array.of(ebx, edx, ecx).buffer).toString()).toBe('GenuineIntel');
  });
});

describe('control bits go with features', () => {
  test.each([
    ['vme', CR4.VME | CR4.PVI, ''],
    ['de', CR4.DE, ''],
    ['pge', CR4.PGE, ''],
    ['pcid', CR4.PCIDE, ''],
    ['fsgsbase', CR4.FSGSBASE, ''],
    ['smep', CR4.SMEP, ''],
    ['smap', CR4.SMAP, ''],
    ['umip', CR4.UMIP, ''],
    ['xsave', CR4.OSXSAVE, ''],
    // With SSE2 goes long mode, with that PCID.
    ['fxsr', CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.PCIDE, 'SCE NXE'],
    ['nx', 0, 'SCE LME LMA'],
    ['syscall', 0, 'NXE LME LMA'],
  ])('%s', (name, cr4, efer) => {
    const all = cpuidPolicy().offered;
    const { offered } = cpuidPolicy(overrides(`host,${name}=0`));
    expect(all.cr4 & ~offered.cr4).toBe(BigInt(cr4));
    const names = (['SCE', 'NXE', 'LME', 'LMA'] as const).filter((n) => offered.efer & BigInt(EFER[n])).join(' ');
    expect(names).toBe(efer === '' ? 'SCE NXE LME LMA' : efer);
  });

  test('MSRs of TSC_AUX, MTRR and x2APIC', () => {
    expect(cpuidPolicy().offered).toMatchObject({ tscAux: true, mtrr: true, x2apic: true });
    expect(cpuidPolicy(overrides('host,rdtscp=0')).offered.tscAux).toBe(true);
    expect(cpuidPolicy(overrides('host,rdtscp=0,rdpid=0')).offered.tscAux).toBe(false);
    expect(cpuidPolicy(overrides('host,mtrr=0,x2apic=0')).offered).toMatchObject({ mtrr: false, x2apic: false });
  });
});
