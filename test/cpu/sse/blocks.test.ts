import { describe, expect, it } from 'vitest';
import * as L from '../../../src/cpu/layout.ts';
import { CR4 } from '../../../src/cpu/state.ts';
import { MODES, type Mode, random, randomMachine } from '../engine/random-code.ts';
import type { BareMachine } from '../../support/bare-machine.ts';

/** A loop with the operand at (E)BX or RDI, also through FS, with instructions that only TypeScript executes. */
const LOOP = [
  'f20f5807', // addsd xmm0, [rdi]
  'f20f5ec8', // divsd xmm1, xmm0
  '64f20f5917', // mulsd xmm2, fs:[rdi]
  '67f20f581f', // addsd xmm3, [edi] (or [bx], [di] with the other address size)
  'f20f7cd9', // haddps xmm3, xmm1
  'f20f2cc1', // cvttsd2si eax, xmm1
  '660f2ec8', // ucomisd xmm1, xmm0
  'ebe0', // back to the start
].join('');

const OPERAND = 0x8000;

function machineFor(mode: Mode, maxBlock: number): BareMachine {
  const m = randomMachine(11, mode, maxBlock);
  const s = m.engine.state;
  m.memory.write(Number(s.rip + s.get64(L.CODE_BASE)), Buffer.from(LOOP, 'hex'));
  m.memory.write(OPERAND, Buffer.from(new Float64Array([1.75]).buffer));
  for (const n of [3, 7]) s.setReg32(n, OPERAND);
  for (const n of [0, 1, 2, 3]) s.u64[(L.YMM >> 3) + 4 * n] = 0x3ff1000000000000n + BigInt(n);
  s.set32(L.CR4, s.get32(L.CR4) | CR4.OSFXSR);
  m.engine.processor.modeChanged();
  return m;
}

describe.each(MODES)('floating point in %s mode', (mode) => {
  it('is the same in whole blocks, single instructions and random pieces', () => {
    const ticks = 8 * 50 + 3;
    const whole = machineFor(mode, 64);
    whole.run(ticks);
    const single = machineFor(mode, 1);
    single.run(ticks);
    const pieces = machineFor(mode, 64);
    const cut = random(5);
    pieces.run(ticks, () => 1 + (cut() % 5));
    expect(whole.exitLog).toEqual([]);
    expect(single.digest()).toBe(whole.digest());
    expect(pieces.digest()).toBe(whole.digest());
    // 50 times round, and once more for the first three: the sum says how often.
    const sum = new Float64Array(whole.engine.state.u64.slice(L.YMM >> 3, (L.YMM >> 3) + 1).buffer)[0];
    expect(sum).toBe(1.0625 + 51 * 1.75);
    // Doubles read as singles by HADDPS are denormal.
    expect(whole.engine.state.get32(L.MXCSR)).toBe(0x1fa2);
  });
});
