/** What a vector of single-instruction execution says about decoding: bytes, form and the fault it ended in. */
import type { Instruction } from '../../../src/cpu/decode/instruction.ts';
import { icedNames } from '../../isa/iced-names.ts';

export interface DecodeVector {
  readonly form: string;
  readonly rip: string;
  readonly bytes: string;
  readonly exception: { readonly vector: number; readonly error: string | null; readonly cr2: string | null } | null;
}

/** Forms whose name is not a mnemonic. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  nop66: ['NOP'],
  prefetchh: ['NOP', 'PREFETCHNTA', 'PREFETCHT0', 'PREFETCHT1', 'PREFETCHT2'],
  prefetchw: ['PREFETCHW', 'PREFETCH'],
  // The register forms of these have a name of their own, XCHG rAX, rAX is NOP, JRCXZ with 67 is JECXZ.
  movlps: ['MOVLPS', 'MOVHLPS'],
  movhps: ['MOVHPS', 'MOVLHPS'],
  vmovlps: ['VMOVLPS', 'VMOVHLPS'],
  vmovhps: ['VMOVHPS', 'VMOVLHPS'],
  xchg: ['XCHG', 'NOP'],
  jrcxz: ['JCXZ'],
};
/** `vgather 90 w0/128` names the opcode. */
const GATHERS: Readonly<Record<string, string>> = {
  '90 w0': 'VPGATHERDD',
  '90 w1': 'VPGATHERDQ',
  '91 w0': 'VPGATHERQD',
  '91 w1': 'VPGATHERQQ',
  '92 w0': 'VGATHERDPS',
  '92 w1': 'VGATHERDPD',
  '93 w0': 'VGATHERQPS',
  '93 w1': 'VGATHERQPD',
};

function formMnemonic(form: string): string {
  if (form.startsWith('invalid ')) return form === 'invalid 0f0b' ? 'ud2' : 'ud0';
  const words = form.split(/[ /(]/);
  const word = words[0] === 'rep' || words[0] === 'repne' ? words[1]! : words[0]!;
  return word.replace(/_.*$/, '');
}

/** Whether the decoded instruction is what the vector's form names. */
export function matchesForm(form: string, ins: Instruction): boolean {
  const { mnemonic } = ins.row;
  if (form.startsWith('vgather ')) return mnemonic === GATHERS[form.slice(8, 13)];
  const word = formMnemonic(form);
  const wanted = NAMES[word] ?? [word.toUpperCase()];
  // The avx family mixes in legacy encodings under the name of the VEX form.
  const prefix = word.startsWith('v') && !ins.vex && ins.row.map !== '1B' && !wanted.includes(mnemonic) ? 'V' : '';
  return [mnemonic, ...icedNames(ins)].some((name) => wanted.includes(prefix + name));
}

/** The decoder's result that the vector asks for. */
export function expectedResult({ form, bytes, exception }: DecodeVector): 'ok' | 'ud' | 'gp' | 'need-more' {
  if (form === '16-byte instruction') return 'gp';
  // UD0 and UD2 are rows of the table: their #UD is their meaning.
  if (exception?.vector === 6) return bytes.endsWith('0f0b') || bytes.endsWith('0fff') ? 'ok' : 'ud';
  const isFetchFault = exception?.vector === 14 && exception.error === '0x14';
  if (isFetchFault && bytes.length / 2 < 15) return 'need-more';
  return 'ok';
}
