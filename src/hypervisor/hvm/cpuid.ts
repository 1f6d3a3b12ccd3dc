import type { CpuidResult } from '../../cpu/exits.ts';
import { XEN_VERSION } from '../hypercalls/version.ts';
import { TSC_KHZ, TSC_TO_NS } from '../time.ts';

/**
 * Feature words that depend on what the processor can do. Bits beyond the engine's abilities must not be here:
 * CPUID tells the truth.
 */
export interface CpuFeatures {
  /** Leaf 1. */
  readonly ecx: number;
  readonly edx: number;
  /** Leaf 7, subleaf 0. */
  readonly ebx7: number;
  readonly ecx7: number;
  /** XCR0 bits that XSETBV takes, leaf 0xd EAX; 0 without XSAVE. */
  readonly xcr0: number;
  /** Leaf 0x80000001. */
  readonly extEcx: number;
  readonly extEdx: number;
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
  xcr0: 0,
  extEcx: 0x00000001,
  extEdx: 0x2193fbfd,
};

const bits = (...numbers: number[]): number => numbers.reduce((word, n) => (word | (1 << n)) >>> 0, 0);

/**
 * What the engine executes exactly, and so offers: x86-64-v2, BMI1/2, ADX, MOVBE, AES, PCLMULQDQ, SHA, XSAVE for x87 and SSE,
 * and the system features behind them. AVX is held back until its floating point is as quick as SSE's.
 */
export const ENGINE_FEATURES: CpuFeatures = {
  // PCLMULQDQ SSSE3 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE
  ecx: (BASELINE_FEATURES.ecx | bits(1, 9, 19, 20, 22, 23, 25, 26)) >>> 0,
  edx: BASELINE_FEATURES.edx,
  // FSGSBASE BMI1 SMEP BMI2 ERMS ADX SMAP CLFLUSHOPT SHA
  ebx7: bits(0, 3, 7, 8, 9, 19, 20, 23, 29),
  // UMIP
  ecx7: bits(2),
  xcr0: 3,
  // LZCNT, PREFETCHW
  extEcx: (BASELINE_FEATURES.extEcx | bits(5, 8)) >>> 0,
  // 1 GiB pages, RDTSCP
  extEdx: (BASELINE_FEATURES.extEdx | bits(26, 27)) >>> 0,
};

/** What of the vcpu and its state shows in CPUID. */
export interface CpuidContext {
  readonly vcpuId: number;
  readonly domainId: number;
  readonly features: CpuFeatures;
  /** CR4.OSXSAVE. */
  readonly osxsave: boolean;
  readonly tscOffset: bigint;
}

const MAX_BASIC = 0xd;
const MAX_EXTENDED = 0x80000021;
const XEN_BASE = 0x40000000;
const XEN_LEAVES = 5;
/** Family 0xf, model 0x6b, stepping 1, as a plain AMD64 processor: newer ones make kernels work around faults that this one has not. */
const SIGNATURE = 0x00060fb1;
const BRAND = 'rexen virtual processor';
const OSXSAVE = 1 << 27;
/**
 * Leaf 0x80000007, EDX: the TSC runs at one rate and never stops. Xen shows it to domains that never migrate (xl.cfg,
 * nomigrate), as ours do; without it Linux with several vcpus complains that TSCs are not synchronized.
 */
const INVARIANT_TSC = 1 << 8;

type Leaf = readonly [eax: number, ebx: number, ecx: number, edx: number];
const ZERO: Leaf = [0, 0, 0, 0];
/** "AuthenticAMD" in EBX, EDX, ECX: guests then make hypercalls by VMMCALL. */
const VENDOR = [0x68747541, 0x444d4163, 0x69746e65] as const;
/** "XenVMMXenVMM". */
const XEN_SIGNATURE = [0x566e6558, 0x65584d4d, 0x4d4d566e] as const;

/** Xen's leaf 4 flags (xen/include/public/arch-x86/cpuid.h): IOMMU mappings, vcpu id, domain id, upcall vector. */
const HVM_LEAF = (1 << 2) | (1 << 3) | (1 << 4) | (1 << 6);
/** Leaf 3: the TSC is safe to use on every processor. */
const TSC_SAFE = 1 << 1;

/** CPUID as a domain sees it, in the form of Xen 4.17 on AMD. */
export function cpuid(leaf: number, subleaf: number, who: CpuidContext, out: CpuidResult): void {
  const [eax, ebx, ecx, edx] = lookUp(leaf >>> 0, subleaf >>> 0, who);
  out.eax = eax >>> 0;
  out.ebx = ebx >>> 0;
  out.ecx = ecx >>> 0;
  out.edx = edx >>> 0;
}

function lookUp(leaf: number, subleaf: number, who: CpuidContext): Leaf {
  if (leaf >= XEN_BASE && leaf <= XEN_BASE + XEN_LEAVES) return xenLeaf(leaf - XEN_BASE, subleaf, who);
  if (leaf >= 0x80000000) return extended(leaf, who);
  const f = who.features;
  switch (leaf) {
    case 0:
      return [MAX_BASIC, ...VENDOR];
    case 1:
      // APIC ids are even, as Xen hands them out; CLFLUSH works on 64 bytes.
      return [SIGNATURE, (who.vcpuId << 25) | 0x00020800, f.ecx | (who.osxsave ? OSXSAVE : 0), f.edx];
    case 7:
      return subleaf === 0 ? [0, f.ebx7, f.ecx7, 0] : ZERO;
    case 0xd:
      return xsaveLeaf(subleaf, f.xcr0);
    default:
      return ZERO;
  }
}

/** XSAVE: the area of x87 and SSE state is 576 bytes with its header; XSAVEOPT and XSAVEC are there (Intel SDM 1, 13.2). */
function xsaveLeaf(subleaf: number, xcr0: number): Leaf {
  if (xcr0 === 0) return ZERO;
  if (subleaf === 0) return [xcr0, 576, 576, 0];
  return subleaf === 1 ? [3, 576, 0, 0] : ZERO;
}

function extended(leaf: number, who: CpuidContext): Leaf {
  switch (leaf) {
    case 0x80000000:
      return [MAX_EXTENDED, ...VENDOR];
    case 0x80000001:
      return [SIGNATURE, 0, who.features.extEcx, who.features.extEdx];
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
      return brand(leaf - 0x80000002);
    case 0x80000005:
      return [0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140];
    case 0x80000006:
      return [0, 0x42004200, 0x02008140, 0x00808140];
    case 0x80000007:
      return [0, 0, 0, INVARIANT_TSC];
    case 0x80000008:
      return [0x00003028, 0, 0, 0];
    case 0x80000021:
      return [4, 0, 0, 0];
    default:
      return ZERO;
  }
}

function brand(part: number): Leaf {
  const word = (at: number) => [0, 1, 2, 3].reduce((w, i) => w | ((BRAND.charCodeAt(at + i) || 0) << (8 * i)), 0);
  return [word(part * 16), word(part * 16 + 4), word(part * 16 + 8), word(part * 16 + 12)];
}

function xenLeaf(leaf: number, subleaf: number, who: CpuidContext): Leaf {
  switch (leaf) {
    case 0:
      return [XEN_BASE + XEN_LEAVES, ...XEN_SIGNATURE];
    case 1:
      return [(XEN_VERSION.major << 16) | XEN_VERSION.minor, 0, 0, 0];
    case 2:
      return [1, XEN_BASE, 0, 0];
    case 3:
      return timeLeaf(subleaf, who.tscOffset);
    case 4:
      return subleaf === 0 ? [HVM_LEAF, who.vcpuId, who.domainId, 0] : ZERO;
    default:
      return ZERO;
  }
}

/** Leaf 3: flags, mode and frequency of the TSC; offset and scale; the host's kHz. */
function timeLeaf(subleaf: number, offset: bigint): Leaf {
  switch (subleaf) {
    case 0:
      return [TSC_SAFE, 0, TSC_KHZ, 1];
    case 1: {
      const negated = BigInt.asUintN(64, -offset);
      return [Number(negated & 0xffffffffn), Number(negated >> 32n), TSC_TO_NS.mul, TSC_TO_NS.shift];
    }
    case 2:
      return [TSC_KHZ, 0, 0, 0];
    default:
      return ZERO;
  }
}
