/** Feature words of CPUID: what the engine can do, and what depends on what. */

/** Words of feature bits. Bits beyond the engine's abilities must not be in a domain's: CPUID tells the truth. */
export interface CpuFeatures {
  /** Leaf 1. */
  readonly ecx: number;
  readonly edx: number;
  /** Leaf 7, subleaf 0. */
  readonly ebx7: number;
  readonly ecx7: number;
  readonly edx7: number;
  /** Leaf 7, subleaf 1. */
  readonly eax71: number;
  /** Leaf 0xd, subleaf 1: XSAVEOPT, XSAVEC, XGETBV with ECX = 1. */
  readonly xsave: number;
  /** XCR0 bits that XSETBV takes, leaf 0xd EAX; 0 without XSAVE. */
  readonly xcr0: number;
  /** Leaf 0x80000001. */
  readonly extEcx: number;
  readonly extEdx: number;
  /** Leaf 0x80000007. */
  readonly powerEdx: number;
  /** Leaf 0x80000008. */
  readonly extEbx8: number;
  /** Leaf 0x80000021. */
  readonly extEax21: number;
}

/**
 * x86-64 with SSE2, as a plain AMD64 processor of family 15 shows it: the words that a PVH guest sees under Xen on an
 * emulated qemu64 (SSE3, CMPXCHG16B, x2APIC, "hypervisor" and LAHF beside the baseline).
 */
export const BASELINE_FEATURES: CpuFeatures = {
  ecx: 0x80202001,
  edx: 0x178bfbfd,
  ebx7: 0,
  ecx7: 0,
  edx7: 0,
  eax71: 0,
  xsave: 0,
  xcr0: 0,
  extEcx: 0x00000001,
  extEdx: 0x2193fbfd,
  powerEdx: 0,
  extEbx8: 0,
  // LFENCE serializes.
  extEax21: 4,
};

const bits = (...numbers: number[]): number => numbers.reduce((word, n) => (word | (1 << n)) >>> 0, 0);

/**
 * What the engine executes exactly, and so offers: x86-64-v3 (AVX2, FMA, BMI, MOVBE …), ADX, AES, PCLMULQDQ, GFNI, SHA and their
 * vector forms, XSAVE with its variants, PCID, and the system features behind them.
 */
export const ENGINE_FEATURES: CpuFeatures = {
  // PCLMULQDQ SSSE3 FMA PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C
  ecx: (BASELINE_FEATURES.ecx | bits(1, 9, 12, 17, 19, 20, 22, 23, 25, 26, 28, 29)) >>> 0,
  // VME
  edx: (BASELINE_FEATURES.edx | bits(1)) >>> 0,
  // FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID ADX SMAP CLFLUSHOPT CLWB SHA
  ebx7: bits(0, 3, 5, 7, 8, 9, 10, 19, 20, 23, 24, 29),
  // UMIP GFNI VAES VPCLMULQDQ RDPID
  ecx7: bits(2, 8, 9, 10, 22),
  edx7: 0,
  // AVX-VNNI
  eax71: bits(4),
  // XSAVEOPT XSAVEC XGETBV1
  xsave: bits(0, 1, 2),
  xcr0: 7,
  // LZCNT, PREFETCHW
  extEcx: (BASELINE_FEATURES.extEcx | bits(5, 8)) >>> 0,
  // VME as in leaf 1, AMD's additions to MMX, 1 GiB pages, RDTSCP
  extEdx: (BASELINE_FEATURES.extEdx | bits(1, 22, 26, 27)) >>> 0,
  // The TSC runs at one rate and never stops. Xen shows it to domains that never migrate (xl.cfg, nomigrate), as ours do;
  // without it Linux with several vcpus complains that TSCs are not synchronized.
  powerEdx: bits(8),
  extEbx8: 0,
  extEax21: BASELINE_FEATURES.extEax21,
};

type Word = Exclude<keyof CpuFeatures, 'xcr0'>;
type Bit = readonly [word: Word, bit: number];

/**
 * Features that make no sense without another, which Xen takes away with it (the `deps` of xen/tools/gen-cpuid.py). Only
 * features that the engine has.
 */
const NEEDS: readonly (readonly [needed: Bit, dependents: readonly Bit[]])[] = [
  // FPU: MMX
  [['edx', 0], [['edx', 23]]],
  // MMX: MMXEXT
  [['edx', 23], [['extEdx', 22]]],
  // PSE: PSE36
  [['edx', 3], [['edx', 17]]],
  // TSC: RDTSCP, invariant TSC
  [
    ['edx', 4],
    [
      ['extEdx', 27],
      ['powerEdx', 8],
    ],
  ],
  // PAE: LM, NX
  [
    ['edx', 6],
    [
      ['extEdx', 29],
      ['extEdx', 20],
    ],
  ],
  // APIC: x2APIC
  [['edx', 9], [['ecx', 21]]],
  // FXSR: SSE, FFXSR
  [
    ['edx', 24],
    [
      ['edx', 25],
      ['extEdx', 25],
    ],
  ],
  // SSE: SSE2
  [['edx', 25], [['edx', 26]]],
  // SSE2: SSE3, LM, AES, PCLMULQDQ, SHA, GFNI
  [
    ['edx', 26],
    [
      ['ecx', 0],
      ['extEdx', 29],
      ['ecx', 25],
      ['ecx', 1],
      ['ebx7', 29],
      ['ecx7', 8],
    ],
  ],
  // SSE3: SSSE3: SSE4.1: SSE4.2
  [['ecx', 0], [['ecx', 9]]],
  [['ecx', 9], [['ecx', 19]]],
  [['ecx', 19], [['ecx', 20]]],
  // XSAVE: AVX and its own variants
  [
    ['ecx', 26],
    [
      ['ecx', 28],
      ['xsave', 0],
      ['xsave', 1],
      ['xsave', 2],
    ],
  ],
  // AVX: FMA, F16C, AVX2
  [
    ['ecx', 28],
    [
      ['ecx', 12],
      ['ecx', 29],
      ['ebx7', 5],
    ],
  ],
  // AVX2: VAES, VPCLMULQDQ, AVX-VNNI
  [
    ['ebx7', 5],
    [
      ['ecx7', 9],
      ['ecx7', 10],
      ['eax71', 4],
    ],
  ],
  // LM: CMPXCHG16B, PCID, LAHF, 1 GiB pages
  [
    ['extEdx', 29],
    [
      ['ecx', 13],
      ['ecx', 17],
      ['extEcx', 0],
      ['extEdx', 26],
    ],
  ],
  // PCID: INVPCID
  [['ecx', 17], [['ebx7', 10]]],
];

/** Bits of leaf 1 EDX that AMD's leaf 0x80000001 EDX repeats. */
const REPEATED = 0x0183f3ff;
const XSAVE_BIT = 1 << 26;
const AVX_BIT = 1 << 28;

/** `wanted` without what `most` has not and without what lacks what it needs; the repeated bits and XCR0 follow. */
export function consistentFeatures(wanted: CpuFeatures, most: CpuFeatures): CpuFeatures {
  const f = { ...wanted };
  const words = Object.keys(f).filter((w) => w !== 'xcr0') as Word[];
  for (const word of words) f[word] = (f[word] & most[word]) >>> 0;
  let changed = true;
  while (changed) {
    changed = false;
    for (const [[word, bit], dependents] of NEEDS) {
      if (f[word] & (1 << bit)) continue;
      for (const [other, n] of dependents) {
        if (!(f[other] & (1 << n))) continue;
        f[other] = (f[other] & ~(1 << n)) >>> 0;
        changed = true;
      }
    }
  }
  f.extEdx = ((f.extEdx & ~REPEATED) | (f.edx & most.extEdx & REPEATED)) >>> 0;
  f.xcr0 = f.ecx & XSAVE_BIT ? (f.ecx & AVX_BIT ? 7 : 3) & most.xcr0 : 0;
  return f;
}
