/** A case for the taker and its result, as objects and as bytes (the layouts are in taker.c). */

/** Everything of the machine that an instruction of user mode may read or write, memory apart. */
export interface MachineState {
  /** Intel's order. */
  gpr: bigint[];
  rflags: number;
  /** Offset within CS. */
  rip: bigint;
  fsBase: bigint;
  gsBase: bigint;
  cs: number;
  ss: number;
  ds: number;
  es: number;
  fs: number;
  gs: number;
  mxcsr: number;
  fcw: number;
  fsw: number;
  /** Bit p: physical register p is not empty. */
  ftw: number;
  /** By physical number. */
  st: bigint[];
  ymm: bigint[];
}

export interface Patch {
  /** Within the data page. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface TakerCase {
  /** Cut at the end of the code page. */
  readonly code: Uint8Array;
  readonly codeOffset: number;
  /** End it by single-step. */
  readonly step: boolean;
  readonly state: MachineState;
  readonly patches: readonly Patch[];
}

export interface TakerResult {
  readonly signal: number;
  readonly trap: number;
  readonly error: bigint;
  readonly address: bigint;
  readonly state: MachineState;
  readonly patches: readonly Patch[];
}

export const TRAP_SYSTEM_CALL = 254;
export const TRAP_ENDLESS = 255;

const STATE_BYTES = 832;
const CASE_BYTES = 40 + STATE_BYTES;
const RESULT_BYTES = 32 + STATE_BYTES;
const SELECTORS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const;
const SELECTORS_AT = 160;
const MXCSR_AT = 176;
const ST_AT = 192;
const YMM_AT = 320;
const M64 = (1n << 64n) - 1n;
const INITIAL_FCW = 0x37f;

const topOf = (fsw: number): number => (fsw >> 11) & 7;

/** XINUSE: components that are not in their initial state. */
function componentsInUse(s: MachineState): number {
  const x87 = s.fcw !== INITIAL_FCW || s.fsw !== 0 || s.ftw !== 0 || s.st.some((v) => v !== 0n);
  const sse = s.ymm.some((v) => (v & ((1n << 128n) - 1n)) !== 0n) || s.mxcsr !== 0x1f80;
  const avx = s.ymm.some((v) => v >> 128n !== 0n);
  return (x87 ? 1 : 0) | (sse ? 2 : 0) | (avx ? 4 : 0);
}

function writeState(view: DataView, at: number, s: MachineState): void {
  for (let n = 0; n < 16; n++) view.setBigUint64(at + 8 * n, s.gpr[n]!, true);
  view.setBigUint64(at + 128, BigInt(s.rflags), true);
  view.setBigUint64(at + 136, s.rip, true);
  view.setBigUint64(at + 144, s.fsBase, true);
  view.setBigUint64(at + 152, s.gsBase, true);
  for (const [i, name] of SELECTORS.entries()) view.setUint16(at + SELECTORS_AT + 2 * i, s[name], true);
  view.setUint32(at + MXCSR_AT, s.mxcsr, true);
  view.setUint16(at + MXCSR_AT + 4, s.fcw, true);
  view.setUint16(at + MXCSR_AT + 6, s.fsw, true);
  view.setUint16(at + MXCSR_AT + 8, s.ftw, true);
  for (let i = 0; i < 8; i++) {
    const v = s.st[(topOf(s.fsw) + i) & 7]!;
    view.setBigUint64(at + ST_AT + 16 * i, v & M64, true);
    view.setUint16(at + ST_AT + 16 * i + 8, Number(v >> 64n), true);
  }
  for (let n = 0; n < 16; n++)
    for (let k = 0; k < 4; k++)
      view.setBigUint64(at + YMM_AT + 32 * n + 8 * k, (s.ymm[n]! >> BigInt(64 * k)) & M64, true);
}

function readState(view: DataView, at: number): MachineState {
  const u64 = (offset: number): bigint => view.getBigUint64(at + offset, true);
  const u16 = (offset: number): number => view.getUint16(at + offset, true);
  const fsw = u16(MXCSR_AT + 6);
  const st: bigint[] = new Array(8);
  for (let i = 0; i < 8; i++) {
    st[(topOf(fsw) + i) & 7] = u64(ST_AT + 16 * i) | (BigInt(u16(ST_AT + 16 * i + 8)) << 64n);
  }
  const [cs, ss, ds, es, fs, gs] = SELECTORS.map((_, i) => u16(SELECTORS_AT + 2 * i)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    gpr: Array.from({ length: 16 }, (_, n) => u64(8 * n)),
    rflags: Number(u64(128)),
    rip: u64(136),
    fsBase: u64(144),
    gsBase: u64(152),
    cs,
    ss,
    ds,
    es,
    fs,
    gs,
    mxcsr: view.getUint32(at + MXCSR_AT, true),
    fcw: u16(MXCSR_AT + 4),
    fsw,
    ftw: u16(MXCSR_AT + 8),
    st,
    ymm: Array.from({ length: 16 }, (_, n) => {
      let v = 0n;
      for (let k = 3; k >= 0; k--) v = (v << 64n) | u64(YMM_AT + 32 * n + 8 * k);
      return v;
    }),
  };
}

const padded = (n: number): number => (n + 3) & ~3;

export function caseBytes(c: TakerCase): Uint8Array {
  const size = CASE_BYTES + c.patches.reduce((sum, p) => sum + 8 + padded(p.bytes.length), 0);
  // A multiple of 8, so that the next one is aligned.
  const bytes = new Uint8Array((size + 7) & ~7);
  const view = new DataView(bytes.buffer);
  const head = [bytes.length, c.codeOffset, c.code.length, c.patches.length, c.step ? 1 : 0, componentsInUse(c.state)];
  for (const [i, word] of head.entries()) view.setUint32(4 * i, word, true);
  bytes.set(c.code, 24);
  writeState(view, 40, c.state);
  let at = CASE_BYTES;
  for (const patch of c.patches) {
    view.setUint32(at, patch.offset, true);
    view.setUint32(at + 4, patch.bytes.length, true);
    bytes.set(patch.bytes, at + 8);
    at += 8 + padded(patch.bytes.length);
  }
  return bytes;
}

/** Reads the result at `at`; `next` is where the following one begins. */
export function readResult(view: DataView, at: number): { result: TakerResult; next: number } {
  const u32 = (offset: number): number => view.getUint32(at + offset, true);
  const patches: Patch[] = [];
  let p = at + RESULT_BYTES;
  for (let i = 0; i < u32(12); i++) {
    const length = view.getUint32(p + 4, true);
    const bytes = new Uint8Array(view.buffer, view.byteOffset + p + 8, length).slice();
    patches.push({ offset: view.getUint32(p, true), bytes });
    p += 8 + padded(length);
  }
  const result: TakerResult = {
    signal: u32(4),
    trap: u32(8),
    error: view.getBigUint64(at + 16, true),
    address: view.getBigUint64(at + 24, true),
    state: readState(view, at + 32),
    patches,
  };
  return { result, next: at + u32(0) };
}
