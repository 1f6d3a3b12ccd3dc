import type { CpuidResult } from '../../cpu/exits.ts';
import { XEN_VERSION } from '../hypercalls/version.ts';
import { type CpuidPolicy, REGISTERS, XEN_BASE, XEN_LEAVES } from './cpuid-policy.ts';
import { TSC_KHZ, TSC_TO_NS } from '../time.ts';

/** What of the vcpu and its state shows in CPUID. */
export interface CpuidContext {
  readonly vcpuId: number;
  readonly domainId: number;
  readonly policy: CpuidPolicy;
  /** CR4.OSXSAVE. */
  readonly osxsave: boolean;
  readonly tscOffset: bigint;
}

/** Family 0xf, model 0x6b, stepping 1, as a plain AMD64 processor: newer ones make kernels work around faults that this one has not. */
const SIGNATURE = 0x00060fb1;
const BRAND = 'rexen virtual processor';
const OSXSAVE = 1 << 27;
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
  const words = lookUp(leaf >>> 0, subleaf >>> 0, who);
  REGISTERS.forEach((register, i) => {
    out[register] = words[i]! >>> 0;
  });
  for (const field of who.policy.fields) {
    if (field.leaf === leaf && (field.subleaf === undefined || field.subleaf === subleaf))
      out[field.register] = ((out[field.register] & ~field.mask) | field.value) >>> 0;
  }
}

function lookUp(leaf: number, subleaf: number, who: CpuidContext): Leaf {
  const { features: f, maxBasic, maxExtended, maxXen } = who.policy;
  if (leaf >= XEN_BASE && leaf <= XEN_BASE + XEN_LEAVES)
    return leaf - XEN_BASE <= maxXen ? xenLeaf(leaf - XEN_BASE, subleaf, who) : ZERO;
  if (leaf >= 0x80000000) return leaf <= maxExtended ? extended(leaf, who) : ZERO;
  if (leaf > maxBasic) return ZERO;
  switch (leaf) {
    case 0:
      return [maxBasic, ...VENDOR];
    case 1:
      // APIC ids are even, as Xen hands them out; CLFLUSH works on 64 bytes.
      return [SIGNATURE, (who.vcpuId << 25) | 0x00020800, f.ecx | (who.osxsave ? OSXSAVE : 0), f.edx];
    case 7:
      if (subleaf === 0) return [f.eax71 === 0 ? 0 : 1, f.ebx7, f.ecx7, f.edx7];
      return subleaf === 1 ? [f.eax71, 0, 0, 0] : ZERO;
    case 0xd:
      return xsaveLeaf(subleaf, f.xcr0, f.xsave);
    default:
      return ZERO;
  }
}

/** Bytes of an XSAVE area for x87 and SSE with its header, and of YMM's upper halves behind it (Intel SDM 1, 13.4). */
const XSAVE_LEGACY = 576;
const XSAVE_YMM = 256;
const XCR0_YMM = 4;

/** EBX of subleaves 0 and 1 is the size for what XCR0 enables now: the processor fills it in. */
function xsaveLeaf(subleaf: number, xcr0: number, abilities: number): Leaf {
  if (xcr0 === 0) return ZERO;
  const hasYmm = (xcr0 & XCR0_YMM) !== 0;
  if (subleaf === 0) return [xcr0, XSAVE_LEGACY, hasYmm ? XSAVE_LEGACY + XSAVE_YMM : XSAVE_LEGACY, 0];
  if (subleaf === 1) return [abilities, XSAVE_LEGACY, 0, 0];
  return subleaf === 2 && hasYmm ? [XSAVE_YMM, XSAVE_LEGACY, 0, 0] : ZERO;
}

function extended(leaf: number, who: CpuidContext): Leaf {
  const { features: f, maxExtended } = who.policy;
  switch (leaf) {
    case 0x80000000:
      return [maxExtended, ...VENDOR];
    case 0x80000001:
      return [SIGNATURE, 0, f.extEcx, f.extEdx];
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
      return brand(leaf - 0x80000002);
    case 0x80000005:
      return [0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140];
    case 0x80000006:
      return [0, 0x42004200, 0x02008140, 0x00808140];
    case 0x80000007:
      return [0, 0, 0, f.powerEdx];
    case 0x80000008:
      return [0x00003028, f.extEbx8, 0, 0];
    case 0x80000021:
      return [f.extEax21, 0, 0, 0];
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
      return [XEN_BASE + who.policy.maxXen, ...XEN_SIGNATURE];
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
