/**
 * The registers that gdb sees, in its order: one table for target.xml, for reading and for writing.
 * Features and names are gdb's for amd64 (gdb/features/i386/64bit-*.xml); control registers are a feature of our own.
 */
import * as L from '../cpu/layout.ts';
import { type CpuState, SEG } from '../cpu/state.ts';

export interface Register {
  readonly name: string;
  readonly bits: number;
  readonly type: string;
  readonly group?: string;
  /** Of the vcpu that is current in the engine; little-endian, bits / 8 bytes. */
  read(s: CpuState): Uint8Array;
  /** Missing: gdb may not change it. */
  write?(s: CpuState, bytes: Uint8Array): void;
}

export interface Feature {
  readonly name: string;
  /** XML before the registers: types. */
  readonly types?: string;
  readonly registers: readonly Register[];
}

function little(value: bigint, bits: number): Uint8Array {
  const bytes = new Uint8Array(bits / 8);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return bytes;
}

export function fromLittle(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

export const value = (
  name: string,
  bits: number,
  type: string,
  get: (s: CpuState) => bigint | number,
  set?: (s: CpuState, value: bigint) => void,
  group?: string,
): Register => ({
  name,
  bits,
  type,
  ...(group === undefined ? {} : { group }),
  read: (s) => little(BigInt.asUintN(bits, BigInt(get(s))), bits),
  ...(set ? { write: (s: CpuState, bytes: Uint8Array) => set(s, fromLittle(bytes)) } : {}),
});

/** Intel's numbers in gdb's order. */
const GENERAL: readonly (readonly [string, number, string])[] = [
  ['rax', 0, 'int64'],
  ['rbx', 3, 'int64'],
  ['rcx', 1, 'int64'],
  ['rdx', 2, 'int64'],
  ['rsi', 6, 'int64'],
  ['rdi', 7, 'int64'],
  ['rbp', 5, 'data_ptr'],
  ['rsp', 4, 'data_ptr'],
  ...Array.from({ length: 8 }, (_, i) => [`r${i + 8}`, i + 8, 'int64'] as const),
];

const SEGMENTS: readonly (readonly [string, number])[] = [
  ['cs', SEG.CS],
  ['ss', SEG.SS],
  ['ds', SEG.DS],
  ['es', SEG.ES],
  ['fs', SEG.FS],
  ['gs', SEG.GS],
];

const general = GENERAL.map(([name, n, type]) =>
  value(
    name,
    64,
    type,
    (s) => s.reg(n),
    (s, v) => s.set64(L.GPR + 8 * n, v),
  ),
);

/** ST(i): the x87 registers lie in physical order, TOP is bits 11..13 of the status word (Intel SDM 1 8.1.2). */
function x87At(s: CpuState, i: number): number {
  const top = (s.get32(L.X87_FCW) >>> (16 + 11)) & 7;
  return L.X87_REGISTERS + 16 * ((top + i) & 7);
}

const u16 = (s: CpuState, at: number): number => s.u8[at]! | (s.u8[at + 1]! << 8);

/** FTW as FNSTENV has it, two bits a register: 3 empty, else 0 (gdb derives the class from the value). */
function fullTag(s: CpuState): number {
  let tag = 0;
  for (let i = 0; i < 8; i++) if (((s.u8[L.X87_FTW]! >> i) & 1) === 0) tag |= 3 << (2 * i);
  return tag;
}

const x87 = Array.from(
  { length: 8 },
  (_, i): Register => ({
    name: `st${i}`,
    bits: 80,
    type: 'i387_ext',
    group: 'float',
    read: (s) => s.u8.slice(x87At(s, i), x87At(s, i) + 10),
    write: (s, bytes) => s.u8.set(bytes.subarray(0, 10), x87At(s, i)),
  }),
);
export const control = (name: string, get: (s: CpuState) => number) => value(name, 32, 'int', get, undefined, 'float');

const x87Control = [
  control('fctrl', (s) => u16(s, L.X87_FCW)),
  control('fstat', (s) => u16(s, L.X87_FSW)),
  control('ftag', fullTag),
  control('fiseg', (s) => u16(s, L.X87_FCS)),
  control('fioff', (s) => s.get32(L.X87_FIP)),
  control('foseg', (s) => u16(s, L.X87_FDS)),
  control('fooff', (s) => s.get32(L.X87_FDP)),
  control('fop', (s) => u16(s, L.X87_FOP)),
];

/** Bits of a register by name and place, as XML. */
function flagsXml(id: string, bytes: number, bits: Readonly<Record<string, number>>): string {
  const fields = Object.entries(bits).map(([name, bit]) => `<field name="${name}" start="${bit}" end="${bit}"/>`);
  return `<flags id="${id}" size="${bytes}">${fields.join('')}</flags>`;
}

export const EFLAGS =
  '<flags id="i386_eflags" size="4"><field name="" start="22" end="31"/><field name="CF" start="0" end="0"/><field name="" start="1" end="1"/><field name="PF" start="2" end="2"/><field name="AF" start="4" end="4"/><field name="ZF" start="6" end="6"/><field name="SF" start="7" end="7"/><field name="TF" start="8" end="8"/><field name="IF" start="9" end="9"/><field name="DF" start="10" end="10"/><field name="OF" start="11" end="11"/><field name="NT" start="14" end="14"/><field name="RF" start="16" end="16"/><field name="VM" start="17" end="17"/><field name="AC" start="18" end="18"/><field name="VIF" start="19" end="19"/><field name="VIP" start="20" end="20"/><field name="ID" start="21" end="21"/></flags>';

/** What gdb has behind the general registers: instruction pointer, flags, selectors, x87. The same for both widths. */
export const behindGeneral = (pointer: string, bits: 32 | 64): Register[] => [
  value(
    pointer,
    bits,
    'code_ptr',
    (s) => s.rip,
    (s, v) => {
      s.rip = v;
    },
  ),
  value(
    'eflags',
    32,
    'i386_eflags',
    (s) => s.eflags,
    (s, v) => {
      s.eflags = Number(v);
    },
  ),
  ...SEGMENTS.map(([name, n]) => value(name, 32, 'int32', (s) => s.selector(n))),
  ...x87,
  ...x87Control,
];

const core: Feature = {
  name: 'org.gnu.gdb.i386.core',
  types: EFLAGS,
  registers: [...general, ...behindGeneral('rip', 64)],
};

const SSE_TYPES =
  '<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/><vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/><vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/><union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union><flags id="i386_mxcsr" size="4"><field name="IE" start="0" end="0"/><field name="DE" start="1" end="1"/><field name="ZE" start="2" end="2"/><field name="OE" start="3" end="3"/><field name="UE" start="4" end="4"/><field name="PE" start="5" end="5"/><field name="DAZ" start="6" end="6"/><field name="FZ" start="15" end="15"/></flags>';

/** XMM0 to XMM`count - 1`, and MXCSR. */
export const sseFeature = (count: number): Feature => ({
  name: 'org.gnu.gdb.i386.sse',
  types: SSE_TYPES,
  registers: [
    ...Array.from(
      { length: count },
      (_, i): Register => ({
        name: `xmm${i}`,
        bits: 128,
        type: 'vec128',
        read: (s) => s.u8.slice(L.YMM + 32 * i, L.YMM + 32 * i + 16),
        write: (s, bytes) => s.u8.set(bytes.subarray(0, 16), L.YMM + 32 * i),
      }),
    ),
    value(
      'mxcsr',
      32,
      'i386_mxcsr',
      (s) => s.get32(L.MXCSR),
      (s, v) => s.set32(L.MXCSR, Number(v & 0xffffn)),
      'vector',
    ),
  ],
});
const sse = sseFeature(16);

/** Bits 255..128; gdb puts ymm0 … ymm15 together from these and xmm0 … xmm15. */
export const avxFeature = (count: number): Feature => ({
  name: 'org.gnu.gdb.i386.avx',
  registers: Array.from(
    { length: count },
    (_, i): Register => ({
      name: `ymm${i}h`,
      bits: 128,
      type: 'uint128',
      read: (s) => s.u8.slice(L.YMM + 32 * i + 16, L.YMM + 32 * i + 32),
      write: (s, bytes) => s.u8.set(bytes.subarray(0, 16), L.YMM + 32 * i + 16),
    }),
  ),
});

const segments: Feature = {
  name: 'org.gnu.gdb.i386.segments',
  registers: [value('fs_base', 64, 'int', (s) => s.base(SEG.FS)), value('gs_base', 64, 'int', (s) => s.base(SEG.GS))],
};

const CR0_BITS = { PE: 0, MP: 1, EM: 2, TS: 3, ET: 4, NE: 5, WP: 16, AM: 18, NW: 29, CD: 30, PG: 31 };
const CR4_BITS = {
  VME: 0,
  PVI: 1,
  TSD: 2,
  DE: 3,
  PSE: 4,
  PAE: 5,
  MCE: 6,
  PGE: 7,
  PCE: 8,
  OSFXSR: 9,
  OSXMMEXCPT: 10,
  UMIP: 11,
  FSGSBASE: 16,
  PCIDE: 17,
  OSXSAVE: 18,
  SMEP: 20,
  SMAP: 21,
  PKE: 22,
};
const EFER_BITS = { SCE: 0, LME: 8, LMA: 10, NXE: 11 };

const look = (name: string, bits: number, get: (s: CpuState) => bigint | number, type = 'int') =>
  value(name, bits, type, get, undefined, 'system');

/** What debuggers of programs never see: gdb shows it by name, and with `info all-registers`. */
export const system: Feature = {
  name: 'org.rexen.system',
  types: flagsXml('rexen_cr0', 8, CR0_BITS) + flagsXml('rexen_cr4', 8, CR4_BITS) + flagsXml('rexen_efer', 8, EFER_BITS),
  registers: [
    look('k_gs_base', 64, (s) => s.get64(L.MSR_KERNEL_GS_BASE)),
    look('cr0', 64, (s) => s.cr0 >>> 0, 'rexen_cr0'),
    look('cr2', 64, (s) => s.get64(L.CR2)),
    look('cr3', 64, (s) => s.get64(L.CR3)),
    look('cr4', 64, (s) => s.cr4 >>> 0, 'rexen_cr4'),
    look('cr8', 64, (s) => s.get32(L.CR8) & 15),
    look('efer', 64, (s) => s.get32(L.EFER), 'rexen_efer'),
    ...SEGMENTS.slice(0, 4).map(([name, n]) => look(`${name}_base`, 64, (s) => s.base(n))),
    look('gdt_base', 64, (s) => s.get64(L.GDTR_BASE)),
    look('gdt_limit', 32, (s) => s.get32(L.GDTR_LIMIT)),
    look('idt_base', 64, (s) => s.get64(L.IDTR_BASE)),
    look('idt_limit', 32, (s) => s.get32(L.IDTR_LIMIT)),
    look('ldt_base', 64, (s) => s.get64(L.LDTR_BASE)),
    look('tss_base', 64, (s) => s.get64(L.TR_BASE)),
    ...Array.from({ length: 8 }, (_, n) => n)
      .filter((n) => n !== 4 && n !== 5)
      .map((n) => look(`dr${n}`, 64, (s) => s.get64(L.DR + 8 * n))),
  ],
};

/** Registers of one kind of guest, in gdb's numbering. */
export interface RegisterSet {
  readonly registers: readonly Register[];
  readonly rip: number;
  readonly is64: boolean;
  readonly xml: string;
}

const FEATURES = [core, sse, segments, avxFeature(16), system];

export function registerSet(architecture: string, features: readonly Feature[]): RegisterSet {
  const registers = features.flatMap((each) => each.registers);
  const xml = [
    '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">',
    `<architecture>${architecture}</architecture>`,
    ...features.map(featureXml),
    '</target>',
  ].join('');
  const is64 = registers[0]!.bits === 64;
  return { registers, is64, rip: registers.findIndex(({ type }) => type === 'code_ptr'), xml };
}

function featureXml({ name, types = '', registers }: Feature): string {
  const regs = registers.map(
    ({ name: reg, bits, type, group }) =>
      `<reg name="${reg}" bitsize="${bits}" type="${type}"${group ? ` group="${group}"` : ''}/>`,
  );
  return `<feature name="${name}">${types}${regs.join('')}</feature>`;
}

/** Of 64-bit guests. */
export const REGISTERS_64 = registerSet('i386:x86-64', FEATURES);
/** In gdb's numbering. */
export const REGISTERS = REGISTERS_64.registers;
