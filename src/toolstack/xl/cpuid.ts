/**
 * xl's `cpuid` option in both of its formats, xl.cfg(5):
 *
 *   cpuid = "host,tm=0,family=0x10"          libxl's: one string, first word "host", then names and values
 *   cpuid = ["0x1:ecx=xxx0…,edx=1xxx…"]      xend's: leaf[,subleaf]:register=32 characters, bit 31 first
 *
 * A bit is 0 or 1, or x, k or s for the host's: x what Xen would give by default, k and s what the processor can, which is the
 * same here. Both formats become the second, as in libxl.
 */
import { cpuid } from '../../hypervisor/hvm/cpuid.ts';
import { type CpuidOverride, cpuidPolicy, leafProblem } from '../../hypervisor/hvm/cpuid-policy.ts';
import { CPUID_NAMES, type CpuidField } from './cpuid-names.ts';
import { shown } from './error.ts';
import { nearestOf } from './keys.ts';

/** Reports what is wrong; must throw. */
type Fail = (what: string) => never;

const UNCHANGED = 'x'.repeat(32);
const BIT = /^[01xks]$/;
const MAX_LEAF = 0xffffffff;

/** Registers by leaf, subleaf and name, as far as the option has come. */
type Registers = Map<string, CpuidOverride>;

/**
 * Entries of the option, of either format, as bits to change: one override a register at most. A name changes its own bits, a
 * string of 32 the whole register: later ones win.
 */
export function cpuidOverrides(entries: readonly string[], fail: Fail): CpuidOverride[] {
  const registers: Registers = new Map();
  for (const entry of entries) {
    if (isLibxl(entry)) libxlFormat(registers, entry, fail);
    else xendFormat(registers, entry, fail);
  }
  return [...registers.values()];
}

const keyOf = ({ leaf, subleaf, register }: Omit<CpuidOverride, 'bits'>): string => `${leaf},${subleaf} ${register}`;

function place(registers: Registers, { leaf, subleaf, register }: CpuidField, change: (bits: string) => string): void {
  const at = subleaf === undefined ? { leaf, register } : { leaf, subleaf, register };
  registers.set(keyOf(at), { ...at, bits: change(registers.get(keyOf(at))?.bits ?? UNCHANGED) });
}

/** libxl's format starts with the word "host". */
const isLibxl = (entry: string): boolean => /^\s*host\s*(,|$)/.test(entry);

/** What else is wrong with one entry of a configuration file, where a string and a list want different formats; undefined: nothing. */
export function cpuidProblem(entry: string, kind: 'string' | 'list', fail: Fail): string | undefined {
  if (kind === 'string' && entry !== '' && !isLibxl(entry))
    return `cpuid: a string starts with the word "host", as in "host,tm=0"; leaves go into a list: ["0x1:ecx=…"]`;
  if (kind === 'list' && isLibxl(entry))
    return `cpuid: ${shown(entry)} is one string, without a list: cpuid = "host,…"`;
  if (entry === '') return kind === 'list' ? 'cpuid: an entry of the list is empty' : undefined;
  const problem = cpuidOverrides([entry], fail)
    .map(leafProblem)
    .find((p) => p !== undefined);
  return problem === undefined ? undefined : `cpuid: ${problem}`;
}

/**
 * Bits that a domain will not have although its configuration fixes them, a line a register: Xen's policies drop them without a
 * word.
 */
export function ineffective(overrides: readonly CpuidOverride[]): string[] {
  const policy = cpuidPolicy(overrides);
  const out = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  return overrides.flatMap((o) => {
    cpuid(o.leaf, o.subleaf ?? 0, { vcpuId: 0, domainId: 1, policy, osxsave: false, tscOffset: 0n }, out);
    const names = (wanted: '0' | '1'): string =>
      Array.from({ length: 32 }, (_, bit) => bit)
        .filter((bit) => o.bits[31 - bit] === wanted && (((out[o.register] >>> bit) & 1) === 1) !== (wanted === '1'))
        .map((bit) => `${nameOf(o, bit)}=${wanted}`)
        .join(', ');
    return [
      ...(names('1') === ''
        ? []
        : [`cpuid: ${names('1')} has no effect: the processor cannot do that, or lacks what it needs`]),
      ...(names('0') === '' ? [] : [`cpuid: ${names('0')} has no effect: Xen decides that bit itself`]),
    ];
  });
}

function nameOf(o: CpuidOverride, bit: number): string {
  for (const [name, f] of CPUID_NAMES) {
    if (f.leaf === o.leaf && f.subleaf === o.subleaf && f.register === o.register && f.bit === bit && f.length === 1)
      return name;
  }
  return `bit ${bit} of ${o.register} of leaf 0x${o.leaf.toString(16)}`;
}

function libxlFormat(registers: Registers, entry: string, fail: Fail): undefined {
  const [, ...pairs] = entry.split(',').map((part) => part.trim());
  for (const pair of pairs) {
    const [, name, value] = /^([^=]*)=(.*)$/.exec(pair) ?? [];
    if (name === undefined || value === undefined) return fail(`cpuid: ${shown(pair)} lacks "=": write NAME=VALUE`);
    const field = CPUID_NAMES.get(name);
    if (field === undefined) {
      const near = nearestOf(name, [...CPUID_NAMES.keys()]);
      return fail(`cpuid: unknown name ${shown(name)}${near === undefined ? '' : `; did you mean ${near}?`}`);
    }
    place(registers, field, (bits) => withValue(bits, name, field, value, fail));
  }
}

/** A register's 32 characters with a name's value in its place. */
function withValue(word: string, name: string, field: CpuidField, value: string, fail: Fail): string {
  if (field.length === 1) {
    if (!BIT.test(value)) fail(`cpuid: ${name}=${shown(value)} is none of 0, 1, x, k, s`);
    return placed(word, value, field.bit);
  }
  const isOwn = /^[xks]$/.test(value);
  const number = /^(0x[0-9a-f]+|\d+)$/i.test(value) ? Number(value) : Number.NaN;
  // What lies above 15 goes to the extended family, of which eight bits are there.
  const most = name === 'family' ? 15 + 255 : 2 ** field.length - 1;
  if (!isOwn && !(number <= most))
    fail(`cpuid: ${name}=${shown(value)} is no number within 0 to ${most} (nor x, k, s)`);
  const digits = (n: number, count: number): string => (isOwn ? value.repeat(count) : binary(n, count));
  if (name === 'family') {
    const base = Math.min(number, 15);
    return placed(placed(word, digits(base, 4), 8), digits(number - base, 8), 20);
  }
  if (name === 'model') return placed(placed(word, digits(number & 15, 4), 4), digits(number >> 4, 4), 16);
  return placed(word, digits(number, field.length), field.bit);
}

const binary = (n: number, digits: number): string => n.toString(2).padStart(digits, '0');

/** `word` with `bits` at bit `at` and above. */
const placed = (word: string, bits: string, at: number): string =>
  word.slice(0, 32 - at - bits.length) + bits + word.slice(32 - at);

const NUMBER = '0x[0-9a-fA-F]+|\\d+';

function xendFormat(registers: Registers, entry: string, fail: Fail): undefined {
  const m = new RegExp(`^\\s*(${NUMBER})(?:,(${NUMBER}))?:(.*)$`).exec(entry);
  if (m === null) return fail(`cpuid: ${shown(entry)} does not start with LEAF: or LEAF,SUBLEAF:, as in "0x1:ecx=…"`);
  const [leaf, subleaf] = [Number(m[1]), m[2] === undefined ? undefined : Number(m[2])];
  if (leaf > MAX_LEAF || (subleaf ?? 0) > MAX_LEAF) fail(`cpuid: leaf ${shown(m[1]!)} has more than 32 bits`);
  for (const part of m[3]!.split(',')) {
    const [, register, bits] = /^\s*(\w*)=(.*)$/.exec(part) ?? [];
    if (register === undefined || bits === undefined || !/^e[abcd]x$/.test(register))
      return fail(`cpuid: ${shown(part.trim())} does not start with eax=, ebx=, ecx= or edx=`);
    const where = `${register} of leaf ${m[1]}`;
    if (bits.length !== 32) fail(`cpuid: ${where} has ${bits.length} characters, not 32: ${shown(bits)}`);
    const wrong = [...bits].find((c) => !BIT.test(c));
    if (wrong !== undefined) fail(`cpuid: ${where} holds ${shown(wrong)}, none of 0, 1, x, k, s`);
    const field = { leaf, register: register as CpuidField['register'], bit: 0, length: 32 };
    place(registers, subleaf === undefined ? field : { ...field, subleaf }, () => bits);
  }
}
