/** Where things lie: the data page, addresses that fault, and the segments that code runs with. */
import type { MachineState } from './case.ts';
import * as D from './descriptors.ts';
import type { Bits } from './encode.ts';
import type { Random } from './random.ts';

export const DATA = 0x20000000;

/** A linear address for an access of `size` bytes: mostly in the data page, about one in twenty faults. */
export function place(r: Random, size: number, mode: Bits): bigint {
  if (r.chance(6)) {
    switch (r.below(mode === 64 ? 5 : 4)) {
      case 0:
        return BigInt(DATA - 1 - r.below(Math.max(size, 8)));
      case 1:
        return BigInt(DATA + 4096 - 1 - r.below(Math.max(size - 1, 1)));
      case 2:
        return BigInt(0x1fff0000 + r.below(0xff00));
      case 3:
        return BigInt(DATA + 4096 + r.below(4096));
      default:
        return r.pick([0x8000_0001_0000n, 0xffff_7fff_ffff_fff0n, 0x1234_5678_9abc_def0n]) + BigInt(r.below(16));
    }
  }
  const room = 4096 - size;
  const at = r.chance(4) ? room : r.chance(4) ? 0 : r.below(Math.max(room, 1));
  const align = r.chance(75) ? Math.min(64, size || 1) : 1;
  return BigInt(DATA + (at & ~(align - 1)));
}

export function flat(mode: Bits): Pick<MachineState, 'cs' | 'ss' | 'ds' | 'es' | 'fs' | 'gs'> {
  const data = mode === 64 ? 0 : 0x2b;
  return { cs: mode === 64 ? 0x33 : 0x23, ss: 0x2b, ds: data, es: data, fs: data, gs: data };
}

/** Random choice of segments: local descriptors where the code is 16 bits wide, and now and then elsewhere. */
export function chooseSegments(r: Random, mode: Bits): ReturnType<typeof flat> {
  const s = flat(mode);
  if (mode === 64) {
    if (r.chance(6))
      for (const name of ['ds', 'es', 'fs', 'gs'] as const) s[name] = r.pick([0, 0x2b, 0x23, ...D.DATA_ANY]);
    return s;
  }
  if (mode === 32 && r.chance(70)) return s;
  s.cs = mode === 16 ? r.pick(D.CODE_16) : r.chance(60) ? 0x23 : r.pick(D.CODE_32);
  s.ss = mode === 32 && r.chance(50) ? 0x2b : r.pick(D.STACKS);
  for (const name of ['ds', 'es', 'fs', 'gs'] as const) {
    s[name] = r.chance(3) ? 0 : r.pick([0x2b, ...D.DATA_ANY, ...D.DATA_ANY, D.selectorOf(0), D.selectorOf(6)]);
  }
  return s;
}
