/**
 * A vcpu's registers and the code it is about to run, as text. Without a reader of its own it reads guest memory through
 * the vcpu's page tables, which may fill its TLB: use that on a replay that is thrown away afterwards.
 */
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from 'iced-x86';
import type { Engine } from '../src/cpu/engine.ts';
import type { ReadLinear } from '../src/debug/symbols/linear-reader.ts';
import { ATTR, EFER } from '../src/cpu/state.ts';

const NAMES_64 = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'];
const NAMES_32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
const FLAG_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [0, 'CF'],
  [2, 'PF'],
  [4, 'AF'],
  [6, 'ZF'],
  [7, 'SF'],
  [8, 'TF'],
  [9, 'IF'],
  [10, 'DF'],
  [11, 'OF'],
];
const CS = 1;
const LONGEST_INSTRUCTION = 15;

/** Bits of the current vcpu's code: 16, 32 or 64. */
export function codeBits(engine: Engine): 16 | 32 | 64 {
  const { state } = engine;
  const attributes = state.attributes(CS);
  if (state.efer & EFER.LMA && attributes & ATTR.L) return 64;
  return attributes & ATTR.DB ? 32 : 16;
}

/** The current vcpu's registers, several lines of `perLine` general registers each. */
export function registersText(engine: Engine, perLine = 4): string[] {
  const { state } = engine;
  const bits = codeBits(engine);
  const names = bits === 64 ? [...NAMES_64, ...Array.from({ length: 8 }, (_, i) => `r${i + 8}`)] : NAMES_32;
  const digits = bits === 64 ? 16 : 8;
  const cells = names.map((name, i) => {
    const value = bits === 64 ? state.reg(i) : state.reg(i) & 0xffff_ffffn;
    return `${name.padStart(3)} ${value.toString(16).padStart(digits, '0')}`;
  });
  const lines = [];
  for (let i = 0; i < cells.length; i += perLine) lines.push(cells.slice(i, i + perLine).join('  '));
  const flags = FLAG_NAMES.filter(([bit]) => (state.eflags >>> bit) & 1).map(([, name]) => name);
  lines.push(
    `rip ${state.rip.toString(16).padStart(digits, '0')}  cpl ${state.cpl}  ${bits} bit  flags ${flags.join(' ') || '-'}`,
    `cr0 ${state.cr0.toString(16)}  cr3 ${state.cr3.toString(16)}  cr4 ${state.cr4.toString(16)}`,
  );
  return lines;
}

/**
 * `count` instructions from `rip` on as the current vcpu would run them, one a line, `=>` before the one it is at. Ends
 * early where no code is mapped.
 * @param name gives `function+0x12` for an address, if there is one.
 * @param read reads linear memory; without it, through the vcpu's TLB.
 */
export function disassemblyText(
  engine: Engine,
  rip: bigint,
  count: number,
  name?: (address: bigint) => string | undefined,
  read?: ReadLinear,
): string[] {
  const { state } = engine;
  const bits = codeBits(engine);
  const lines: string[] = [];
  const formatter = new Formatter(FormatterSyntax.Intel);
  formatter.hexPrefix = '0x';
  formatter.hexSuffix = '';
  formatter.uppercaseHex = false;
  try {
    let at = rip;
    for (let i = 0; i < count; i++) {
      const bytes = codeAt(engine, BigInt.asUintN(64, state.base(CS) + at), read);
      if (bytes.length === 0) {
        lines.push('   (no code is mapped here)');
        break;
      }
      const decoder = new Decoder(bits, bytes, DecoderOptions.None);
      decoder.ip = at;
      const instruction = decoder.decode();
      const length = instruction.length;
      const hex = Buffer.from(bytes.subarray(0, length)).toString('hex');
      const where = name?.(at);
      const label = where === undefined ? '' : `  <${where}>`;
      lines.push(
        `${at === state.rip ? '=>' : '  '} ${at.toString(16)}  ${hex.padEnd(20)} ${formatter.format(instruction)}${label}`,
      );
      instruction.free();
      decoder.free();
      at += BigInt(Math.max(1, length));
    }
  } finally {
    formatter.free();
  }
  return lines;
}

/** Up to 15 bytes from `linear` on; fewer where mapped memory ends. */
function codeAt(engine: Engine, linear: bigint, read: ReadLinear | undefined): Uint8Array {
  const bytes: number[] = [];
  for (let i = 0; i < LONGEST_INSTRUCTION; i++) {
    const at = BigInt.asUintN(64, linear + BigInt(i));
    const byte = read ? read(at, 1)?.[0] : engine.guarded(() => engine.virtual.read8(at, true));
    if (byte === undefined) break;
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
