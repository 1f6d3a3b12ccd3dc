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
const FRIENDLY = [0x01, 0x29, 0x31, 0x89, 0x8b, 0x40, 0x50, 0x58, 0x74, 0x75, 0xeb, 0x0f, 0x83, 0x85, 0xa4, 0xab, 0xc1, 0xd3, 0xf7, 0x66, 0x48, 0xe8, 0xc3, 0xe2];

/** A machine whose RAM is random, with IDT and page tables for `mode`, at the start of the random code. */
export function randomMachine(seed: number, mode: Mode, maxBlock = 64): BareMachine {
  const m = new BareMachine(PAGES, { maxBlock });
  reseed(m, seed, mode);
  return m;
}

/** Puts an existing machine into the state that `seed` stands for. */
export function reseed(m: BareMachine, seed: number, mode: Mode): void {
  const r = random(seed);
  const s = m.engine.state;
  const page = new Uint8Array(4096);
  for (let gfn = 0; gfn < PAGES; gfn++) {
    for (let i = 0; i < 4096; i++) page[i] = r() % 3 === 0 ? FRIENDLY[r() % FRIENDLY.length]! : r();
    m.memory.write(gfn * 4096, page);
  }
  s.u8.fill(0, 0, L.STATE_BYTES);
  m.exitLog.length = 0;
  m.now = 0;
  if (mode === 'real') startReal(s, 0x1000, 0x100);
  else if (mode === 'long64') enterLong(m);
  else startFlat32(s, 0x10000, 0);
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
function idt32(m: BareMachine): void {
  const s = m.engine.state;
  m.memory.writeU64(0x1000, 0n);
  m.memory.writeU64(0x1008, 0x00cf9b000000ffffn);
  m.memory.writeU64(0x1010, 0x00cf93000000ffffn);
  for (let v = 0; v < 256; v++) {
    const target = 0x10000 + v * 0x40;
    m.memory.writeU32(0x2000 + v * 8, (8 << 16) | (target & 0xffff));
    m.memory.writeU32(0x2004 + v * 8, (target & 0xffff0000) | 0x8e00);
  }
  s.set64(L.GDTR_BASE, 0x1000n);
  s.set32(L.GDTR_LIMIT, 0x17);
  s.set64(L.IDTR_BASE, 0x2000n);
  s.set32(L.IDTR_LIMIT, 0x7ff);
  s.u16[(L.SEGMENT + L.SEG_STRIDE) >> 1] = 8;
}

function enterPaged32(m: BareMachine): void {
  idt32(m);
  const s = m.engine.state;
  for (let i = 0; i < 1024; i++) m.memory.writeU32(0x4000 + i * 4, i < PAGES ? (i << 12) | 7 : 0);
  for (let i = 0; i < 1024; i++) m.memory.writeU32(0x3000 + i * 4, i === 0 ? 0x4007 : 0);
  s.set64(L.CR3, 0x3000n);
  s.set64(L.CR0, BigInt((CR0.PE | CR0.ET | CR0.PG | CR0.WP) >>> 0));
}

function enterLong(m: BareMachine): void {
  const s = m.engine.state;
  startLong64(s, 0x10000n, 0x3000n);
  m.memory.writeU64(0x1008, 0x00af9b000000ffffn);
  m.memory.writeU64(0x1010, 0x00cf93000000ffffn);
  for (let v = 0; v < 256; v++) {
    const target = 0x10000 + v * 0x40;
    m.memory.writeU64(0x2000 + v * 16, BigInt((8 << 16) | (target & 0xffff)) | (BigInt((target & 0xffff0000) | 0x8e00) << 32n));
    m.memory.writeU64(0x2008 + v * 16, 0n);
  }
  for (const [at, to] of [[0x3000, 0x4000], [0x4000, 0x5000], [0x5000, 0x6000]] as const) {
    for (let i = 0; i < 512; i++) m.memory.writeU64(at + i * 8, i === 0 ? BigInt(to | 7) : 0n);
  }
  for (let i = 0; i < 512; i++) m.memory.writeU64(0x6000 + i * 8, i < PAGES ? BigInt((i << 12) | 7) : 0n);
  s.set64(L.GDTR_BASE, 0x1000n);
  s.set32(L.GDTR_LIMIT, 0x17);
  s.set64(L.IDTR_BASE, 0x2000n);
  s.set32(L.IDTR_LIMIT, 0xfff);
  s.set64(L.CR4, BigInt(CR4.PAE | CR4.OSFXSR));
  s.set64(L.EFER, BigInt(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE));
  s.u16[(L.SEGMENT + L.SEG_STRIDE) >> 1] = 8;
}
