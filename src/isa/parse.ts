/**
 * Turns the table's lines into rows.
 *
 *   0F.66.W1.6E/2m   MNEMONIC   Op,Op,Op   attributes...
 *   |  |  |  | |+- m memory form only, r register form only
 *   |  |  |  | +-- ModRM.reg (or `=C1`: the whole ModRM byte; `+r`: eight opcodes; `+r7`: seven; `+cc`: sixteen)
 *   |  |  |  +---- opcode
 *   |  |  +------- W0 W1, L0 L1: bit required; absent means "size bit or ignored"
 *   |  +---------- np 66 f3 f2: mandatory prefix; absent means "prefixes do not select"
 *   +------------- map: absent (one byte), 0F, 0F38, 0F3A, V0F, V0F38, V0F3A
 *
 * Attributes: lock; rep repz; d64 f64 i64 o64; cpl0 iopl io umip tsd pce; jump call ret cond system; byte; nomod;
 * now (REX.W does not widen); w32 (VEX.W is ignored outside 64-bit mode); @feature or @feature/feature256.
 */
import { CONDITIONS } from './conditions.ts';
import { flagEffects } from './flags.ts';
import { parseOperand } from './operand-kinds.ts';
import type { BlockEnd, InstructionRow, MandatoryPrefix, OpcodeMap, OperandSpec, Privilege, RepKind } from './row.ts';

const MAPS: readonly string[] = ['0F', '0F38', '0F3A', 'V0F', 'V0F38', 'V0F3A'];
const PREFIXES: readonly string[] = ['np', '66', 'f3', 'f2'];
const BLOCK_ENDS: readonly string[] = ['jump', 'call', 'ret', 'cond', 'system'];
const PRIVILEGES: readonly string[] = ['cpl0', 'iopl', 'io', 'umip', 'tsd', 'pce'];
const PLAIN: readonly string[] = ['lock', 'rep', 'repz', 'd64', 'f64', 'i64', 'o64', 'byte', 'nomod', 'w32', 'now'];
const MODRM_METHODS = 'CDEGMNPQRSTUVW';
const REGISTER_METHODS = 'NRTU';
const SELECTOR = /^([0-9A-F]{2})(?:\/([0-7]))?(?:=([0-9A-F]{2}))?([mr])?(\+r7|\+r|\+cc)?$/i;

/** A row before it gets its number. `wIgnoredOutside64` steers only the lookup. */
export type ParsedRow = Omit<InstructionRow, 'id'> & { readonly wIgnoredOutside64: boolean };

interface Selector {
  map: OpcodeMap;
  prefix: MandatoryPrefix;
  w: number;
  l: number;
  opcode: number;
  digit: number;
  exactModrm: number;
  form: 'any' | 'mem' | 'reg';
  repeat: string;
}

function parseSelector(text: string): Selector {
  const parts = text.split('.');
  const match = SELECTOR.exec(parts.pop()!);
  if (!match) throw new Error(`instruction table: bad selector "${text}"`);
  const [, opcode, digit, exact, form, repeat] = match;
  const selector: Selector = {
    map: '1B',
    prefix: 'any',
    w: -1,
    l: -1,
    opcode: Number.parseInt(opcode!, 16),
    digit: digit === undefined ? -1 : Number(digit),
    exactModrm: exact === undefined ? -1 : Number.parseInt(exact, 16),
    form: form === 'm' ? 'mem' : form === 'r' ? 'reg' : 'any',
    repeat: repeat ?? '',
  };
  for (const part of parts) {
    if (MAPS.includes(part)) selector.map = part as OpcodeMap;
    else if (PREFIXES.includes(part)) selector.prefix = part as MandatoryPrefix;
    else if (part === 'W0' || part === 'W1') selector.w = Number(part[1]);
    else if (part === 'L0' || part === 'L1') selector.l = Number(part[1]);
    else throw new Error(`instruction table: "${text}" has an unknown part "${part}"`);
  }
  return selector;
}

function formOf(selector: Selector, operands: readonly OperandSpec[], ignoresMod: boolean): 'any' | 'mem' | 'reg' {
  if (selector.exactModrm >= 0xc0) return 'reg';
  if (selector.form !== 'any' || ignoresMod) return selector.form;
  for (const { method } of operands) {
    if (method === 'M') return 'mem';
    if (REGISTER_METHODS.includes(method)) return 'reg';
  }
  return 'any';
}

/** The first operand that has a width of the operation's own says whether it is a byte operation. */
function isByteSized(operands: readonly OperandSpec[]): boolean {
  for (const operand of operands) {
    if (operand.method === 'I' || operand.method === 'J' || operand.text === 'DX') continue;
    return operand.size === 8 && operand.memSize === 8;
  }
  return false;
}

function parseLine(line: string): ParsedRow[] {
  const [selectorText, name, operandText, ...words] = line.split(/\s+/);
  if (!operandText) throw new Error(`instruction table: incomplete line "${line}"`);
  const selector = parseSelector(selectorText!);
  const operands = operandText === '-' ? [] : operandText.split(',').map(parseOperand);
  const [feature = '', feature256 = feature] = (words.find((word) => word.startsWith('@')) ?? '@').slice(1).split('/');
  const has = (word: string) => words.includes(word);
  for (const word of words) {
    if (word.startsWith('@') || [...PLAIN, ...BLOCK_ENDS, ...PRIVILEGES].includes(word)) continue;
    throw new Error(`instruction table: "${line}" has an unknown attribute "${word}"`);
  }
  const usesModrm = operands.some((operand) => operand.method !== 'fixed' && MODRM_METHODS.includes(operand.method));
  const row = (opcode: number, mnemonic: string, condition: number): ParsedRow => ({
    mnemonic,
    selector: selectorText!,
    map: selector.map,
    opcode,
    prefix: selector.prefix,
    digit: selector.digit,
    exactModrm: selector.exactModrm,
    w: selector.w,
    l: selector.l,
    form: formOf(selector, operands, has('nomod')),
    hasModrm: usesModrm || selector.digit >= 0 || selector.exactModrm >= 0,
    ignoresMod: has('nomod'),
    operands,
    usesVvvv: operands.some((operand) => operand.method === 'H' || operand.method === 'B'),
    usesVsib: operands.some((operand) => operand.vsib),
    byteSized: has('byte') || isByteSized(operands),
    flags: flagEffects(mnemonic, condition),
    lockable: has('lock'),
    rep: (has('repz') ? 'repz' : has('rep') ? 'rep' : 'none') satisfies RepKind,
    default64: has('d64'),
    force64: has('f64'),
    ignoresW: has('now'),
    invalid64: has('i64'),
    only64: has('o64'),
    privilege: (words.find((word) => PRIVILEGES.includes(word)) as Privilege | undefined) ?? 'none',
    blockEnd: (words.find((word) => BLOCK_ENDS.includes(word)) as BlockEnd | undefined) ?? 'none',
    feature,
    feature256,
    wIgnoredOutside64: has('w32'),
  });
  if (selector.repeat === '+cc') {
    return CONDITIONS.map((suffix, code) => row(selector.opcode + code, name!.replace('*', suffix), code));
  }
  const count = selector.repeat === '+r' ? 8 : selector.repeat === '+r7' ? 7 : 1;
  return Array.from({ length: count }, (_, i) => row(selector.opcode + i, name!, -1));
}

/** Parses a table. Throws on anything it does not understand. */
export function parseTable(text: string): ParsedRow[] {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '').flatMap(parseLine);
}
