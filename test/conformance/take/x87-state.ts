/** x87 and MMX registers, control and status words for instructions that use them. */
import type { Instruction } from '../../../src/cpu/decode/instruction.ts';
import type { MachineState } from './case.ts';
import { elementOf } from './forms.ts';
import { extended, type Random, vector } from './random.ts';

export function setX87(r: Random, insn: Instruction, s: MachineState): void {
  const { row } = insn;
  const mmx = row.operands.some(({ method }) => 'PNQ'.includes(method));
  const whole = /^(FX|X)(SAVE|RSTOR)/.test(row.mnemonic);
  if (row.feature !== 'x87' && !/^(FISTTP|EMMS)/.test(row.mnemonic) && !mmx && !whole) return;
  const busy = r.chance(3);
  s.fcw = r.chance(50)
    ? 0x37f
    : 0x40 |
      (r.below(3) === 1 ? r.below(64) : 0x3f) |
      (r.pick([0, 2, 3, 3, 3]) << 8) |
      (r.below(4) << 10) |
      (r.chance(20) ? 0x1000 : 0);
  if (mmx && row.prefix !== 'np') s.fcw |= 0x3f;
  s.fsw = (r.below(8) << 11) | ((r.pick([0, 0, r.below(16)]) << 8) & 0x4700) | (r.chance(30) ? r.below(128) : 0);
  if (r.chance(10)) s.fsw = 0;
  // Pending: an exception flag that is not masked; ES and B say so.
  if (!busy) s.fsw &= ~0x3f | s.fcw;
  const pending = (s.fsw & ~s.fcw & 0x3f) !== 0;
  s.fsw = pending ? s.fsw | 0x8080 : s.fsw & ~0x8080;
  s.ftw = r.pick([0xff, 0xff, r.below(256), r.below(256) | (1 << ((s.fsw >> 11) & 7)), 0]);
  for (let p = 0; p < 8; p++) {
    if (!((s.ftw >> p) & 1) && r.chance(80)) continue;
    s.st[p] = mmx ? (r.chance(60) ? 0xffffn << 64n : r.bits(16) << 64n) | vector(r, 64, elementOf(row)) : extended(r);
  }
  if (/^(FPREM|FSCALE|FXTRACT|FRNDINT|F2XM1|FYL2X|FPATAN|FSIN|FCOS|FPTAN)/.test(row.mnemonic) && r.chance(60)) {
    // Mostly in range: small exponents in ST(0) and ST(1).
    const top = (s.fsw >> 11) & 7;
    for (const i of [0, 1]) {
      const e = 0x3fffn + BigInt(r.below(r.pick([4, 40, 140])) - r.pick([0, 20, 70]));
      s.st[(top + i) & 7] = (BigInt(r.below(2)) << 79n) | (e << 64n) | (1n << 63n) | (r.chance(40) ? 0n : r.bits(63));
      s.ftw |= 1 << ((top + i) & 7);
    }
  }
}
