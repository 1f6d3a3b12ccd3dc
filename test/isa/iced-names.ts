/** How this project's mnemonics and iced-x86's relate, and which of iced's instructions we leave out on purpose. */
import { CpuidFeature, EncodingKind, type Instruction as IcedInstruction, Mnemonic } from 'iced-x86';
import type { Instruction } from '../../src/cpu/decode/instruction.ts';

const SUFFIXES: Readonly<Record<string, string>> = { NB: 'AE', Z: 'E', NZ: 'NE', NBE: 'A', NL: 'GE', NLE: 'G' };
const CONDITIONAL = /^(J|SET|CMOV)(NB|Z|NZ|NBE|NL|NLE)$/;

const STRINGS: readonly string[] = ['MOVS', 'CMPS', 'STOS', 'LODS', 'SCAS', 'INS', 'OUTS'];
const STRING_SUFFIX: Readonly<Record<number, string>> = { 8: 'B', 16: 'W', 32: 'D', 64: 'Q' };
/** One row here, a name per operand size there. */
const BY_SIZE: Readonly<Record<string, readonly [string, string, string]>> = {
  CBW: ['CBW', 'CWDE', 'CDQE'],
  CWD: ['CWD', 'CDQ', 'CQO'],
  PUSHA: ['PUSHA', 'PUSHAD', ''],
  POPA: ['POPA', 'POPAD', ''],
  PUSHF: ['PUSHF', 'PUSHFD', 'PUSHFQ'],
  POPF: ['POPF', 'POPFD', 'POPFQ'],
  IRET: ['IRET', 'IRETD', 'IRETQ'],
};
/** Names with W = 1. */
const WITH_W: Readonly<Record<string, string>> = {
  MOVD: 'MOVQ',
  VMOVD: 'VMOVQ',
  PINSRD: 'PINSRQ',
  VPINSRD: 'VPINSRQ',
  PEXTRD: 'PEXTRQ',
  VPEXTRD: 'VPEXTRQ',
  SYSRET: 'SYSRETQ',
  SYSEXIT: 'SYSEXITQ',
  PCMPESTRI: 'PCMPESTRI64',
  PCMPESTRM: 'PCMPESTRM64',
  VPCMPESTRI: 'VPCMPESTRI64',
  VPCMPESTRM: 'VPCMPESTRM64',
};
for (const name of ['FXSAVE', 'FXRSTOR', 'XSAVE', 'XRSTOR', 'XSAVEOPT', 'XSAVEC', 'XSAVES', 'XRSTORS']) {
  (WITH_W as Record<string, string>)[name] = `${name}64`;
}
const PLAIN: Readonly<Record<string, readonly string[]>> = {
  // F2 and F3 decide between the two, which iced does not know.
  LOOPZ: ['LOOPE', 'LOOPNE'],
  LOOPNZ: ['LOOPNE', 'LOOPE'],
  XLAT: ['XLATB'],
  FWAIT: ['WAIT'],
  CALLF: ['CALL'],
  JMPF: ['JMP'],
  // Undocumented aliases that iced names apart.
  SHL: ['SAL'],
  FCOM: ['FCOM2'],
  FCOMP: ['FCOMP3', 'FCOMP5'],
  FXCH: ['FXCH4', 'FXCH7'],
  FSTP: ['FSTPNCE', 'FSTP8', 'FSTP9'],
  // Hints and prefixes of features that are not offered do nothing.
  NOP: ['RESERVEDNOP', 'CLDEMOTE', 'PREFETCHIT0', 'PREFETCHIT1', 'RDSSPD', 'RDSSPQ'],
  PREFETCH: ['PREFETCHW', 'PREFETCHWT1', 'PREFETCHRESERVED_0F0D_2'],
  WBINVD: ['WBNOINVD'],
  VMMCALL: ['VMGEXIT'],
};
const JCXZ: Readonly<Record<number, string>> = { 16: 'JCXZ', 32: 'JECXZ', 64: 'JRCXZ' };

/** Every iced mnemonic that the decoded instruction may have there. */
export function icedNames(ins: Instruction): readonly string[] {
  const name = ins.row.mnemonic;
  const conditional = CONDITIONAL.exec(name);
  if (conditional) return [conditional[1]! + SUFFIXES[conditional[2]!]];
  if (STRINGS.includes(name)) {
    const port = name === 'INS' || name === 'OUTS';
    return [name + STRING_SUFFIX[port && ins.operandSize === 64 ? 32 : ins.operandSize]];
  }
  const sized = BY_SIZE[name];
  if (sized) return [sized[ins.operandSize >> 5]!];
  if (name === 'JCXZ') return [JCXZ[ins.addressSize]!];
  if (ins.rexW && WITH_W[name]) return [WITH_W[name]!];
  return [name, ...(PLAIN[name] ?? [])];
}

/** CPUID features whose instructions are not in the table: #UD here (or a no-op where the encoding is a hint). */
const NOT_OFFERED: readonly string[] = [
  'VMX',
  'SVM',
  'SMX',
  'SGX1',
  'SKINIT_or_SVM',
  'INVLPGB',
  'SEV_SNP',
  'RMPQUERY',
  'TDX',
  'PCONFIG',
  'TSE',
  'CET_SS',
  'PKU',
  'RTM',
  'HLE_or_RTM',
  'TSXLDTRK',
  'MPX',
  'UINTR',
  'WAITPKG',
  'SERIALIZE',
  'PTWRITE',
  'MSRLIST',
  'ENQCMD',
  'MOVDIRI',
  'MOVDIR64B',
  'CMPCCXADD',
  'RAO_INT',
  'LKGS',
  'FRED',
  'WRMSRNS',
  'RDPRU',
  'MCOMMIT',
  'MONITORX',
  'CLZERO',
  'OSS',
  'AESKLE',
  'KL',
  'WIDE_KL',
  'AMX_INT8',
  'AMX_TILE',
  'AMX_BF16',
  'AMX_FP16',
  'AMX_COMPLEX',
  'SSE4A',
  'D3NOW',
  'D3NOWEXT',
  'FMA4',
  'XOP',
  'TBM',
  'LWP',
  'SM3',
  'SM4',
  'SHA512',
  'AVX_NE_CONVERT',
  'AVX_IFMA',
  'AVX_VNNI_INT8',
  'AVX_VNNI_INT16',
  'AVX512F',
  'AVX512BW',
  'AVX512DQ',
  'PADLOCK_RNG',
  'PADLOCK_ACE',
  'PADLOCK_PHE',
  'PADLOCK_PMM',
  'PADLOCK_GMI',
  'PADLOCK_UNDOC',
  'INVEPT',
  'INVVPID',
  'CL1INVMB',
  'PBNDKB',
];

/** VMCALL and VMMCALL are the hypercall instructions; they are in the table although VMX and SVM are not offered. */
const KEPT: readonly string[] = ['VMCALL', 'VMMCALL', 'RDSSPD', 'RDSSPQ'];

/** True when iced decodes something that this table leaves out on purpose. */
export function isNotOffered(iced: IcedInstruction): boolean {
  if (iced.encoding === EncodingKind.EVEX || iced.encoding === EncodingKind.XOP) return true;
  if (iced.encoding === EncodingKind.D3NOW || iced.encoding === EncodingKind.MVEX) return true;
  if (KEPT.includes(icedName(iced))) return false;
  return [...iced.cpuidFeatures()].some((feature) => NOT_OFFERED.includes(CpuidFeature[feature]!));
}

/** iced's mnemonic in upper case. */
export function icedName(iced: IcedInstruction): string {
  return Mnemonic[iced.mnemonic]!.toUpperCase();
}
