/**
 * What of the processor a domain sees: Xen's CPUID policy. The toolstack changes bits of the default one; what the
 * processor has not stays off whatever is asked, and what needs a feature goes with it, as Xen's sanitizing does it.
 *
 * A masked instruction is executed still where a real processor could not stop it, too. What follows the policy are the bits
 * of CR4, EFER and XCR0 (so that AVX is #UD without its own), and a few MSRs.
 */
import type { OfferedBits } from '../../cpu/exits.ts';
import { CR4, EFER } from '../../cpu/state.ts';
import { consistentFeatures, type CpuFeatures, ENGINE_FEATURES } from './cpu-features.ts';

export const REGISTERS = ['eax', 'ebx', 'ecx', 'edx'] as const;
export type CpuidRegister = (typeof REGISTERS)[number];

/** One register's bits to change: 32 characters from bit 31 on, 0, 1, or x, k, s for the processor's own. */
export interface CpuidOverride {
  readonly leaf: number;
  /** Of leaves that have some. */
  readonly subleaf?: number;
  readonly register: CpuidRegister;
  readonly bits: string;
}

/** Bits of a register that is no feature word. */
interface FieldBits {
  readonly leaf: number;
  readonly subleaf: number | undefined;
  readonly register: CpuidRegister;
  readonly mask: number;
  readonly value: number;
}

export interface CpuidPolicy {
  readonly features: CpuFeatures;
  readonly fields: readonly FieldBits[];
  readonly maxBasic: number;
  readonly maxExtended: number;
  /** Leaves behind 0x40000000. */
  readonly maxXen: number;
  readonly offered: OfferedBits;
}

export const MAX_BASIC = 0xd;
export const MAX_EXTENDED = 0x80000021;
export const XEN_BASE = 0x40000000;
export const XEN_LEAVES = 5;
/** A guest finds its hypercall page by leaf 2: Xen never shows fewer. */
const LEAST_XEN_LEAVES = 2;
/** Leaves whose subleaf must be named, as in Xen's list of a policy's leaves. */
const WITH_SUBLEAVES = new Set([4, 7, 0xb, 0xd]);

/** Feature words by leaf, subleaf and register. */
const FEATURE_WORDS: Readonly<Record<string, Exclude<keyof CpuFeatures, 'xcr0'>>> = {
  '1 ecx': 'ecx',
  '1 edx': 'edx',
  '7,0 ebx': 'ebx7',
  '7,0 ecx': 'ecx7',
  '7,0 edx': 'edx7',
  '7,1 eax': 'eax71',
  '13,1 eax': 'xsave',
  '2147483649 ecx': 'extEcx',
  '2147483649 edx': 'extEdx',
  '2147483655 edx': 'powerEdx',
  '2147483656 ebx': 'extEbx8',
  '2147483681 eax': 'extEax21',
};

/** Other registers that a toolstack may change: vendor, family and model, brand, caches, topology. All others stay. */
const FIELDS: Readonly<Record<string, number>> = {
  '0 ebx': 0xffffffff,
  '0 ecx': 0xffffffff,
  '0 edx': 0xffffffff,
  '1 eax': 0x0fff3fff,
  // Not the APIC id, which is the vcpu's.
  '1 ebx': 0x00ffffff,
  '2147483649 ebx': 0xffffffff,
  '2147483656 ecx': 0xffffffff,
};
for (let leaf = 0x80000002; leaf <= 0x80000006; leaf++) {
  for (const register of REGISTERS) (FIELDS as Record<string, number>)[`${leaf} ${register}`] = 0xffffffff;
}

const keyOf = ({ leaf, subleaf, register }: CpuidOverride): string =>
  `${leaf}${subleaf === undefined ? '' : `,${subleaf}`} ${register}`;

/** The processor's `own` bits with those that `bits` fixes. */
function changed(own: number, bits: string): number {
  let word = 0;
  [...bits].forEach((c, i) => {
    const bit = (1 << (31 - i)) >>> 0;
    if (c === '1' || (c !== '0' && (own & bit) !== 0)) word = (word | bit) >>> 0;
  });
  return word;
}

/** Why a leaf cannot be changed, or undefined: Xen refuses to create a domain that names a leaf its policies have not. */
export function leafProblem({ leaf, subleaf }: CpuidOverride): string | undefined {
  const shown = `0x${leaf.toString(16)}`;
  const isKnown = leaf <= MAX_BASIC || (leaf >= 0x80000000 && leaf <= MAX_EXTENDED) || leaf === XEN_BASE;
  if (!isKnown) return `there is no leaf ${shown}`;
  if (WITH_SUBLEAVES.has(leaf) !== (subleaf !== undefined))
    return subleaf === undefined
      ? `leaf ${shown} has subleaves: write "${shown},0:…"`
      : `leaf ${shown} has no subleaves: write "${shown}:…"`;
  return undefined;
}

/** The policy of a domain whose toolstack asks for `overrides`, at most one a register, on a processor that has `most`. */
export function cpuidPolicy(
  overrides: readonly CpuidOverride[] = [],
  most: CpuFeatures = ENGINE_FEATURES,
): CpuidPolicy {
  const wanted = { ...most };
  const fields: FieldBits[] = [];
  let [maxBasic, maxExtended, maxXen] = [MAX_BASIC, MAX_EXTENDED, XEN_LEAVES];
  for (const o of overrides) {
    const key = keyOf(o);
    const word = FEATURE_WORDS[key];
    if (word !== undefined) wanted[word] = changed(most[word], o.bits);
    else if (key === '0 eax') maxBasic = Math.min(MAX_BASIC, changed(MAX_BASIC, o.bits));
    else if (key === `${0x80000000} eax`)
      maxExtended = Math.min(MAX_EXTENDED, Math.max(0x80000000, changed(MAX_EXTENDED, o.bits)));
    else if (key === `${XEN_BASE} eax`) maxXen = xenLeaves(changed(XEN_LEAVES, o.bits) & 0xff);
    else if (FIELDS[key] !== undefined) fields.push(fieldBits(o, FIELDS[key]));
  }
  const features = consistentFeatures(wanted, most);
  return { features, fields, maxBasic, maxExtended, maxXen, offered: offeredBits(features) };
}

/** 0 means all of them. */
const xenLeaves = (n: number): number => (n === 0 ? XEN_LEAVES : Math.min(XEN_LEAVES, Math.max(LEAST_XEN_LEAVES, n)));

function fieldBits({ leaf, subleaf, register, bits }: CpuidOverride, may: number): FieldBits {
  let [mask, value] = [0, 0];
  [...bits].forEach((c, i) => {
    const bit = ((1 << (31 - i)) & may) >>> 0;
    if (c === '0' || c === '1') mask = (mask | bit) >>> 0;
    if (c === '1') value = (value | bit) >>> 0;
  });
  return { leaf, subleaf, register, mask, value };
}

/** Control bits that go with features: hvm_cr4_guest_valid_bits and hvm_efer_valid of Xen. */
function offeredBits(f: CpuFeatures): OfferedBits {
  const has = (word: number, bit: number): boolean => (word & (1 << bit)) !== 0;
  const when = (condition: boolean, bits: number): number => (condition ? bits : 0);
  const cr4 =
    CR4.PCE |
    when(has(f.edx, 1), CR4.VME | CR4.PVI) |
    when(has(f.edx, 2), CR4.DE) |
    when(has(f.edx, 3), CR4.PSE) |
    when(has(f.edx, 4), CR4.TSD) |
    when(has(f.edx, 6), CR4.PAE) |
    when(has(f.edx, 7) || has(f.edx, 14), CR4.MCE) |
    when(has(f.edx, 13), CR4.PGE) |
    when(has(f.edx, 24), CR4.OSFXSR) |
    when(has(f.edx, 25), CR4.OSXMMEXCPT) |
    when(has(f.ecx, 17), CR4.PCIDE) |
    when(has(f.ecx, 26), CR4.OSXSAVE) |
    when(has(f.ebx7, 0), CR4.FSGSBASE) |
    when(has(f.ebx7, 7), CR4.SMEP) |
    when(has(f.ebx7, 20), CR4.SMAP) |
    when(has(f.ecx7, 2), CR4.UMIP);
  const efer =
    when(has(f.extEdx, 11), EFER.SCE) |
    when(has(f.extEdx, 20), EFER.NXE) |
    when(has(f.extEdx, 29), EFER.LME | EFER.LMA);
  return {
    cr4: BigInt(cr4 >>> 0),
    efer: BigInt(efer),
    xcr0: BigInt(f.xcr0),
    tscAux: has(f.extEdx, 27) || has(f.ecx7, 22),
    mtrr: has(f.edx, 12),
    x2apic: has(f.ecx, 21),
    monitor: has(f.ecx, 3),
    rdrand: has(f.ecx, 30),
    rdseed: has(f.ebx7, 18),
  };
}
