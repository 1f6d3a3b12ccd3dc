/** Random bytes as code in every mode: the machine must survive, and be the same however it is executed. */
import * as L from '../../../src/cpu/layout.ts';
import { CR0, CR4, EFER } from '../../../src/cpu/state.ts';
import { startFlat32, startLong64, startReal } from '../../../src/cpu/system/index.ts';
import { BareMachine } from '../../support/bare-machine.ts';

export type Mode = 'real' | 'flat32' | 'paged32' | 'long64';
export const MODES: readonly Mode[] = ['real', 'flat32', 'paged32', 'long64'];
export const PAGES = 64;

/** xorshift32: the same sequence everywhere. */
export function random(seed: number): () => number {
  let x = (seed * 2654435761) >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>>= 0);
  };
}

/** Opcodes that keep random code going: arithmetic, moves, short jumps, stack. Plain random bytes mostly fault. */
const FRIENDLY = [
  0x01, 0x29, 0x31, 0x89, 0x8b, 0x40, 0x50, 0x58, 0x74, 0x75, 0xeb, 0x0f, 0x83, 0x85, 0xa4, 0xab, 0xc1, 0xd3, 0xf7,
  0x66, 0x48, 0xe8, 0xc3, 0xe2, 0x8d, 0x99, 0xa5, 0xae, 0xb8, 0xd8, 0xf3, 0xff,
];

/** A machine whose RAM is random, with IDT and page tables for `mode`, at the start of the random code. */
export function randomMachine(seed: number, mode: Mode, maxBlock = 64): BareMachine {
  const m = new BareMachine(PAGES, { maxBlock });
  reseed(m, seed, mode);
  return m;
}

/** Puts an existing machine into the state that `seed` stands for. */
export function reseed(m: BareMachine, seed: number, mode: Mode): void {
  const r = random(seed);
  const page = new Uint8Array(4096);
  const words = new Uint32Array(page.buffer);
  for (let gfn = 0; gfn < PAGES; gfn++) {
    for (let i = 0; i < 1024; i++) words[i] = r();
    // A third of the bytes, four places from each number.
    for (let i = 0; i < 4096; i += 12) {
      const x = r();
      for (let k = 0; k < 4; k++) page[i + 3 * k] = FRIENDLY[(x >>> (8 * k)) & (FRIENDLY.length - 1)]!;
    }
    m.memory.write(gfn * 4096, page);
  }
  m.exitLog.length = 0;
  m.now = 0;
  start(m, r, mode);
}

/** Starts again in the same memory, as a processor after a reset, at a place that `seed` gives. */
export function restart(m: BareMachine, seed: number, mode: Mode): void {
  const r = random(seed);
  start(m, r, mode);
  m.engine.state.rip = BigInt((mode === 'real' ? 0 : 0x10000) + (r() & 0xffff));
}

function start(m: BareMachine, r: () => number, mode: Mode): void {
  const s = m.engine.state;
  s.u8.fill(0, 0, L.STATE_BYTES);
  if (mode === 'real') {
    startReal(s, 0x1000, 0x100);
    m.memory.write(0, VECTORS);
  }
  if (mode === 'long64') enterLong(m);
  else if (mode !== 'real') startFlat32(s, 0x10000, 0);
  if (mode === 'paged32') enterPaged32(m);
  for (let n = 0; n < 8; n++) s.setReg32(n, r() % (PAGES * 4096));
  s.setReg32(4, 0x20000);
  s.u16[L.X87_FCW >> 1] = 0x37f;
  s.set32(L.MXCSR, 0x1f80);
  s.set64(L.XCR0, 1n);
  m.engine.processor.flushTlb(true);
  m.engine.processor.modeChanged();
}

/** Interrupt gates for all vectors, each to some random place, so that faults go on. */
function descriptorTables(m: BareMachine, code: bigint): void {
  const { state: s } = m.engine;
  m.memory.write(0x1000, bytesOf(new BigUint64Array([0n, code, 0x00cf93000000ffffn])));
  s.set64(L.GDTR_BASE, 0x1000n);
  s.set32(L.GDTR_LIMIT, 0x17);
  s.set64(L.IDTR_BASE, 0x2000n);
  s.u16[(L.SEGMENT + L.SEG_STRIDE) >> 1] = 8;
}

const gateTarget = (v: number): number => 0x10000 + v * 0x40;
const bytesOf = (words: Uint32Array | BigUint64Array): Uint8Array => new Uint8Array(words.buffer);

const GATES_32 = bytesOf(
  Uint32Array.from({ length: 512 }, (_, i) => {
    const target = gateTarget(i >> 1);
    return i & 1 ? (target & 0xffff0000) | 0x8e00 : (8 << 16) | (target & 0xffff);
  }),
);
const GATES_64 = bytesOf(
  Uint32Array.from({ length: 1024 }, (_, i) => {
    const target = gateTarget(i >> 2);
    return [(8 << 16) | (target & 0xffff), (target & 0xffff0000) | 0x8e00, 0, 0][i & 3]!;
  }),
);
const pte = (_: unknown, gfn: number): number => (gfn < PAGES ? (gfn << 12) | 7 : 0);
/** Real mode's vectors: 1000:0400 and up. */
const VECTORS = bytesOf(Uint32Array.from({ length: 256 }, (_, v) => 0x10000400 + v * 0x40));
const PTES_32 = bytesOf(Uint32Array.from({ length: 1024 }, pte));
const PTES_64 = bytesOf(BigUint64Array.from({ length: 512 }, (_, gfn) => BigInt(pte(_, gfn))));
const directory32 = bytesOf(new Uint32Array(1024).fill(0x4007, 0, 1));
const directory64 = (to: number): Uint8Array => bytesOf(new BigUint64Array(512).fill(BigInt(to | 7), 0, 1));
const DIRECTORIES_64 = [0x4000, 0x5000, 0x6000].map(directory64);

function enterPaged32(m: BareMachine): void {
  const s = m.engine.state;
  descriptorTables(m, 0x00cf9b000000ffffn);
  m.memory.write(0x2000, GATES_32);
  s.set32(L.IDTR_LIMIT, 0x7ff);
  m.memory.write(0x3000, directory32);
  m.memory.write(0x4000, PTES_32);
  s.set64(L.CR3, 0x3000n);
  s.set64(L.CR0, BigInt((CR0.PE | CR0.ET | CR0.PG | CR0.WP) >>> 0));
}

function enterLong(m: BareMachine): void {
  const s = m.engine.state;
  startLong64(s, 0x10000n, 0x3000n);
  descriptorTables(m, 0x00af9b000000ffffn);
  m.memory.write(0x2000, GATES_64);
  s.set32(L.IDTR_LIMIT, 0xfff);
  for (const [i, directory] of DIRECTORIES_64.entries()) m.memory.write(0x3000 + i * 4096, directory);
  m.memory.write(0x6000, PTES_64);
  s.set64(L.CR4, BigInt(CR4.PAE | CR4.OSFXSR));
  s.set64(L.EFER, BigInt(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE));
}
