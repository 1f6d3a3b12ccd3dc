/** The registers of guests in 32-bit or 16-bit mode, as gdb knows them for i386 (gdb/features/i386/32bit-*.xml). */
import * as L from '../cpu/layout.ts';
import { SEG } from '../cpu/state.ts';
import {
  avxFeature,
  behindGeneral,
  EFLAGS,
  type Feature,
  registerSet,
  sseFeature,
  system,
  value,
} from './registers.ts';

const GENERAL: readonly (readonly [name: string, number: number, type: string])[] = [
  ['eax', 0, 'int'],
  ['ecx', 1, 'int'],
  ['edx', 2, 'int'],
  ['ebx', 3, 'int'],
  ['esp', 4, 'data_ptr'],
  ['ebp', 5, 'data_ptr'],
  ['esi', 6, 'int'],
  ['edi', 7, 'int'],
];
const core: Feature = {
  name: 'org.gnu.gdb.i386.core',
  types: EFLAGS,
  registers: [
    ...GENERAL.map(([name, n, type]) =>
      value(
        name,
        32,
        type,
        (s) => s.reg(n),
        (s, v) => s.set64(L.GPR + 8 * n, v),
      ),
    ),
    ...behindGeneral('eip', 32),
  ],
};

/** Bases of the two segments that gdb has registers for in 64-bit guests only. */
const bases: Feature = {
  name: 'org.rexen.segments',
  registers: [
    value('fs_base', 64, 'int', (s) => s.base(SEG.FS), undefined, 'system'),
    value('gs_base', 64, 'int', (s) => s.base(SEG.GS), undefined, 'system'),
  ],
};

export const REGISTERS_32 = registerSet('i386', [core, sseFeature(8), bases, avxFeature(8), system]);
