/** Bytes that are mostly no instruction of any table: what decodes, how long it is, and what is #UD. */
import { CpuidFeature, Decoder } from 'iced-x86';
import type { Bits } from './encode.ts';
import type { Random } from './random.ts';

/** Extensions that a host may have and ours does not offer. */
const FOREIGN =
  /^(AVX512|SSE4A|D3NOW|CLZERO|RDPRU|MONITORX|MCOMMIT|SVM|SEV|SNP|CLDEMOTE|CLWB|PTWRITE|PKU|CET|MOVDIR|ENQCMD|WAITPKG|SERIALIZE|UINTR|AMX|TSX|HLE|RTM|KL|WIDEKL|RDRAND|RDSEED|RDPID|CMPCCXADD|RAO|AVX_VNNI|AVX_NE|AVX_IFMA|INVLPGB|TDX|SMX|VMX|SGX|PADLOCK|CYRIX|GEODE|KNC|SKINIT|PBNDKB|MSRLIST|WRMSRNS|HRESET|PCONFIG|WBNOINVD|MPX|APX|USER_MSR|FRED|SHA512|SM3|SM4)/;

const PREFIXES = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65] as const;

const MASK_OPCODES = new Set([
  0x30, 0x31, 0x32, 0x33, 0x41, 0x42, 0x44, 0x45, 0x46, 0x47, 0x4a, 0x4b, 0x90, 0x91, 0x92, 0x93, 0x98, 0x99,
]);

/** Fifteen bytes, or undefined for what must not be run or compared. */
export function randomBytes(r: Random, mode: Bits): Uint8Array | undefined {
  const list: number[] = [];
  while (r.chance(35)) list.push(mode === 64 && r.chance(40) ? 0x40 | r.below(16) : r.pick(PREFIXES));
  const kind = r.below(10);
  if (kind < 4) list.push(0x0f);
  else if (kind === 4) list.push(0x0f, 0x38);
  else if (kind === 5) list.push(0x0f, 0x3a);
  else if (kind === 6) list.push(0xc5, r.below(256));
  else if (kind === 7) list.push(0xc4, (r.below(8) << 5) | (1 + r.below(3)), r.below(256));
  const bytes = Uint8Array.from([...list, ...r.bytes(15)]).subarray(0, 15);
  return isForeign(bytes, mode) ? undefined : bytes;
}

function isForeign(bytes: Uint8Array, mode: Bits): boolean {
  const opcode = bytes.findIndex((b) => !(PREFIXES as readonly number[]).includes(b) && !(mode === 64 && b >> 4 === 4));
  const [first, second] = [bytes[opcode], bytes[opcode + 1] ?? 0];
  // EVEX, and XOP's ground.
  if (first === 0x62 && (mode === 64 || second >= 0xc0)) return true;
  // SYSCALL, SYSENTER, CPUID, RDTSC, RDPMC, the group of SGDT, SMSW, VMCALL and SVM; SLDT, STR.
  if (first === 0x0f && [0x01, 0x05, 0x07, 0x31, 0x33, 0x34, 0xa2, 0x00].includes(second)) return true;
  if (first === 0xcd) return true;
  // AVX-512's mask registers hide in VEX.
  const vexOpcode = first === 0xc5 ? bytes[opcode + 2] : first === 0xc4 ? bytes[opcode + 3] : undefined;
  if (vexOpcode !== undefined && MASK_OPCODES.has(vexOpcode)) return true;
  const decoder = new Decoder(mode, bytes, 0);
  const instruction = decoder.decode();
  try {
    if (instruction.isInvalid) return false;
    return instruction.cpuidFeatures().some((feature: CpuidFeature) => FOREIGN.test(CpuidFeature[feature] ?? ''));
  } finally {
    instruction.free();
    decoder.free();
  }
}
