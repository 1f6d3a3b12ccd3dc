/** Which family a row of the instruction table belongs to, what its form is called, and what its operands are made of. */
import type { Instruction } from '../../../src/cpu/decode/instruction.ts';
import type { InstructionRow } from '../../../src/isa/row.ts';
import type { Element } from './random.ts';

const words = (text: string): Set<string> => new Set(text.trim().split(/\s+/));

const BY_FAMILY: Readonly<Record<string, Set<string>>> = {
  alu: words('ADD OR ADC SBB AND SUB XOR CMP INC DEC NOT NEG TEST XADD CMPXCHG CMPXCHG8B CMPXCHG16B'),
  muldiv: words('MUL IMUL DIV IDIV'),
  shift: words('ROL ROR RCL RCR SHL SHR SAR SHLD SHRD'),
  bit: words('BT BTS BTR BTC BSF BSR BSWAP'),
  bmi: words('TZCNT LZCNT POPCNT ADCX ADOX CRC32'),
  stack: words('PUSH POP PUSHF POPF ENTER LEAVE PUSHA POPA'),
  control: words('JMP CALL RET LOOP LOOPZ LOOPNZ JCXZ UD0 UD1 UD2'),
  string: words('MOVS CMPS STOS LODS SCAS XLAT'),
  flags: words('CLC STC CMC CLD STD SAHF LAHF SALC'),
  bcd: words('AAA AAS AAM AAD DAA DAS'),
  system:
    words(`LAR LSL VERR VERW ARPL RDFSBASE RDGSBASE WRFSBASE WRGSBASE LES LDS LSS LFS LGS BOUND INTO INT3 INT INT1 CLI STI
    HLT IN OUT INS OUTS CLTS LMSW INVD WBINVD INVLPG LLDT LTR LGDT LIDT RDMSR WRMSR SWAPGS XSETBV INVPCID CLAC STAC RSM
    XSAVES XRSTORS MONITOR MWAIT RDPMC SYSRET SYSEXIT`),
  far: words('CALLF JMPF RETF IRET'),
  xsave: words('XSAVE XRSTOR XSAVEOPT XSAVEC'),
};
const TRANSCENDENTAL = words('F2XM1 FYL2X FPTAN FPATAN FYL2XP1 FSINCOS FSIN FCOS');
const SSE_MOVES =
  /^(MOV(?!Q2|DQ2Q|MSK)|MASKMOV|UNPCK|SHUF|PSHUF|PEXTR|PINSR|INSERTPS|EXTRACTPS|BLEND|PBLEND|LDDQU|FX|LDMXCSR|STMXCSR|(P)?MOVMSK)/;
const SSE_FLOATS = /^(ADD|SUB|MUL|DIV|SQRT|RCP|RSQRT|MIN|MAX|CMP|COMI|UCOMI|HADD|HSUB|DP|ROUND|AND|OR|XOR)/;

/** Instructions that cannot be compared: the result is the host's, Linux emulates them, or they leave user mode. */
export const NOT_TAKEN = words(
  `SYSCALL SYSENTER CPUID RDTSC RDTSCP RDRAND RDSEED RDPID XGETBV VMCALL VMMCALL INT1 XSAVES XRSTORS SGDT SIDT SLDT STR SMSW`,
);

export function familyOf(row: InstructionRow): string {
  const { mnemonic, feature } = row;
  if (row.map.startsWith('V')) return feature.startsWith('bmi') ? 'bmi' : 'avx';
  if (mnemonic.startsWith('CVT')) return 'sse_convert';
  if (/^(AES|PCLMUL)/.test(mnemonic)) return 'aes_clmul';
  if (/^(SHA|GF2P8)/.test(mnemonic)) return 'sha_gfni';
  if (/^PCMP[EI]STR/.test(mnemonic)) return 'sse4_string';
  if (row.operands.some(({ method }) => 'PNQ'.includes(method)) || mnemonic === 'EMMS') return 'mmx';
  if (TRANSCENDENTAL.has(mnemonic)) return 'x87_transcendental';
  if (feature === 'x87' || mnemonic.startsWith('FISTTP')) return 'x87';
  for (const [family, names] of Object.entries(BY_FAMILY)) {
    if (!names.has(mnemonic)) continue;
    return row.operands.some(({ method, fixedKind }) => method === 'S' || fixedKind === 'sreg') ? 'system' : family;
  }
  if (/^J/.test(mnemonic)) return 'control';
  if (/^SET/.test(mnemonic)) return 'flags';
  if (row.operands.some(({ method }) => 'CDS'.includes(method))) return 'system';
  if (/^(sse|fxsr)/.test(feature) && !/^(MOVNTI|LFENCE|MFENCE|SFENCE|PREFETCH)/.test(mnemonic)) {
    return SSE_MOVES.test(mnemonic)
      ? 'sse_move'
      : SSE_FLOATS.test(mnemonic) && /[PS][SD]$/.test(mnemonic)
        ? 'sse_float'
        : 'sse_int';
  }
  return 'move';
}

/** `add Eb,Gb/8`: mnemonic, operands as in the instruction table, operand size or vector width. */
export function formOf(insn: Instruction): string {
  const { row } = insn;
  const operands = row.operands.map(({ text }) => text).join(',');
  const repeat = insn.rep === 0 ? '' : insn.rep === 1 ? 'rep ' : 'repne ';
  const size = insn.vex ? (insn.vexL ? 256 : 128) : insn.operandSize;
  return `${repeat}${row.mnemonic.toLowerCase()}${operands === '' ? '' : ` ${operands}`}/${size}`;
}

/** What vector registers and memory hold. */
export function elementOf(row: InstructionRow): Element {
  const name = row.mnemonic;
  if (/PCMP[EI]STR/.test(name)) return 'text';
  if (/CVTPH2PS$/.test(name)) return 'f16';
  const source = /CVTT?(PS|SS|PD|SD|DQ|PI|SI)2/.exec(name)?.[1];
  if (source !== undefined) return source.endsWith('S') ? 'f32' : source === 'PD' || source === 'SD' ? 'f64' : 'int';
  if (row.map !== '1B' && /[PS]S$/.test(name)) return 'f32';
  if (row.map !== '1B' && /[PS]D$/.test(name) && !/^V?P/.test(name)) return 'f64';
  return 'int';
}
