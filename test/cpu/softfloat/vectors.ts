/** Recorded single-instruction vectors as these tests need them: files, operands, memory; nothing of the product. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export interface X87Image {
  fcw?: string;
  fsw?: string;
  ftw?: string;
  r?: Record<string, string>;
}

export interface VectorState {
  regs: Record<string, string>;
  xmm?: Record<string, string>;
  ymm?: Record<string, string>;
  mxcsr?: string;
  x87?: X87Image;
  mem?: { addr: string; bytes: string }[];
}

export interface Vector {
  id: string;
  form: string;
  bytes: string;
  rip: string;
  in: VectorState;
  out: Partial<VectorState> & { rip: string };
  exception: null | { vector: number; error: string; cr2: string | null };
  undefinedFlags: string;
  undefinedFsw?: string;
  undefinedMem?: { addr: string; len: number };
  approx?: boolean;
}

const SHARED = process.env.REXEN_SHARED ?? new URL('../../../../shared', import.meta.url).pathname;

/** Path of a family's file, and why a test must skip when it is absent. */
export function vectorFile(family: string): { path: string; present: boolean; reason: string } {
  const path = join(SHARED, 'x86-vectors', `${family}.jsonl.gz`);
  return { path, present: existsSync(path), reason: `needs ${path}` };
}

/** The vectors of a file (gzip or plain), every `step`-th one. */
export function loadVectors(path: string, step = 1): Vector[] {
  const raw = readFileSync(path);
  const text = path.endsWith('.gz') ? gunzipSync(raw).toString() : raw.toString();
  return text
    .split('\n')
    .filter((line, index) => line !== '' && index % step === 0)
    .map((line) => JSON.parse(line) as Vector);
}

/** Every vector with REXEN_ALL_VECTORS=1, else every 20th. */
export const SAMPLE_STEP = process.env.REXEN_ALL_VECTORS === '1' ? 1 : 20;

const REGISTERS = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

export interface Operands {
  /** Opcode map: 0 one-byte, 1 = 0F, 2 = 0F38, 3 = 0F3A. */
  map: number;
  opcode: number;
  prefix: 0 | 0x66 | 0xf2 | 0xf3;
  modrm: number;
  reg: number;
  /** Register number of the r/m operand, or -1 for memory. */
  rm: number;
  vvvv: number;
  vexL: number;
  vexW: number;
  vex: boolean;
  address: bigint;
  /** Immediate byte after the operand, 0 if there is none. */
  imm: number;
  /** Length when there is no immediate. */
  length: number;
}

/** Decode prefixes, opcode, modrm and the memory address of one 64-bit instruction that has a modrm byte. */
export function decode(vector: Vector, immediateBytes = 0): Operands {
  const code = Buffer.from(vector.bytes, 'hex');
  const o: Operands = {
    map: 0,
    opcode: 0,
    prefix: 0,
    modrm: 0,
    reg: 0,
    rm: 0,
    vvvv: 0,
    vexL: 0,
    vexW: 0,
    vex: false,
    address: 0n,
    imm: 0,
    length: 0,
  };
  let at = 0;
  let address32 = false;
  let rex = 0;
  for (; ; at++) {
    const b = code[at];
    if (b === 0x67) address32 = true;
    else if (b === 0x66 && o.prefix === 0) o.prefix = 0x66;
    else if (b === 0xf2 || b === 0xf3) o.prefix = b;
    else if (![0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf0].includes(b)) break;
  }
  if (code[at] === 0xc4 || code[at] === 0xc5) {
    rex = ~(code[at + 1] >> 5) & (code[at] === 0xc5 ? 4 : 7);
    at = decodeVex(code, at, o);
  } else {
    if (code[at] >> 4 === 4) rex = code[at++];
    if (code[at] === 0x0f) {
      at++;
      o.map = 1;
      if (code[at] === 0x38 || code[at] === 0x3a) o.map = code[at++] === 0x38 ? 2 : 3;
    }
  }
  o.opcode = code[at++];
  return decodeModrm(vector, code, at, rex & 15, address32, immediateBytes, o);
}

function decodeVex(code: Buffer, at: number, o: Operands): number {
  o.vex = true;
  let last: number;
  if (code[at] === 0xc5) {
    o.map = 1;
    last = code[at + 1];
    at += 2;
  } else {
    o.map = code[at + 1] & 31;
    last = code[at + 2];
    o.vexW = last >> 7;
    at += 3;
  }
  o.vvvv = ~(last >> 3) & 15;
  o.vexL = (last >> 2) & 1;
  o.prefix = [0, 0x66, 0xf3, 0xf2][last & 3] as Operands['prefix'];
  return at;
}

function decodeModrm(
  vector: Vector,
  code: Buffer,
  start: number,
  rex: number,
  address32: boolean,
  immediateBytes: number,
  o: Operands,
): Operands {
  let at = start;
  const register = (n: number) => BigInt(vector.in.regs[REGISTERS[n]]);
  o.modrm = code[at++];
  o.reg = ((o.modrm >> 3) & 7) | (rex & 4 ? 8 : 0);
  const mod = o.modrm >> 6;
  const low = o.modrm & 7;
  if (mod === 3) {
    o.rm = low | (rex & 1 ? 8 : 0);
  } else {
    o.rm = -1;
    let address = 0n;
    let ripRelative = false;
    let disp = mod === 1 ? 1 : mod === 2 ? 4 : 0;
    if (low === 4) {
      const sib = code[at++];
      const index = ((sib >> 3) & 7) | (rex & 2 ? 8 : 0);
      const base = (sib & 7) | (rex & 1 ? 8 : 0);
      if (index !== 4) address += register(index) << BigInt(sib >> 6);
      if ((sib & 7) === 5 && mod === 0) disp = 4;
      else address += register(base);
    } else if (low === 5 && mod === 0) {
      ripRelative = true;
      disp = 4;
    } else {
      address += register(low | (rex & 1 ? 8 : 0));
    }
    if (disp === 1) address += BigInt(code.readInt8(at));
    if (disp === 4 && at + 4 <= code.length) address += BigInt(code.readInt32LE(at));
    at += disp;
    if (ripRelative) address += BigInt(vector.rip) + BigInt(at + immediateBytes);
    o.address = BigInt.asUintN(address32 ? 32 : 64, address);
  }
  o.length = at;
  o.imm = code[at] ?? 0;
  return o;
}

/** `length` bytes at `address` as the vector's memory holds them before the instruction, as a little-endian number. */
export function readMemory(vector: Vector, address: bigint, length: number): bigint {
  return littleEndian(memoryBytes(vector, address, length));
}

export function memoryBytes(vector: Vector, address: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  overlay(bytes, address, vector.in.mem);
  return bytes;
}

/** The same range after the instruction. */
export function memoryAfter(vector: Vector, address: bigint, length: number): Uint8Array {
  const bytes = memoryBytes(vector, address, length);
  overlay(bytes, address, vector.out.mem);
  return bytes;
}

function overlay(bytes: Uint8Array, address: bigint, ranges: VectorState['mem']): void {
  for (const range of ranges ?? []) {
    const data = Buffer.from(range.bytes, 'hex');
    const offset = Number(BigInt(range.addr) - address);
    for (let i = 0; i < data.length; i++) {
      if (offset + i >= 0 && offset + i < bytes.length) bytes[offset + i] = data[i];
    }
  }
}

export function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}
