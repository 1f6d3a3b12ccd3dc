/** Registers by all their names: what gdb has, their lower parts, and cpl. */
import { fromLittle, REGISTERS } from '../../debug/registers.ts';
import type { CpuState } from '../../cpu/state.ts';

export interface RegisterRef {
  readonly name: string;
  /** Of the vcpu that is current in the engine. */
  read(s: CpuState): bigint;
}

const WIDEST_BITS = 64;

function registers(): Map<string, RegisterRef> {
  const all = new Map<string, RegisterRef>();
  for (const { name, bits, read } of REGISTERS) {
    if (bits <= WIDEST_BITS) all.set(name, { name, read: (s) => fromLittle(read(s)) });
  }
  const part = (name: string, whole: string, shift: number, bits: number) => {
    const { read } = all.get(whole)!;
    all.set(name, { name, read: (s) => BigInt.asUintN(bits, read(s) >> BigInt(shift)) });
  };
  for (const letter of ['a', 'b', 'c', 'd']) {
    part(`e${letter}x`, `r${letter}x`, 0, 32);
    part(`${letter}x`, `r${letter}x`, 0, 16);
    part(`${letter}l`, `r${letter}x`, 0, 8);
    part(`${letter}h`, `r${letter}x`, 8, 8);
  }
  for (const name of ['si', 'di', 'bp', 'sp']) {
    part(`e${name}`, `r${name}`, 0, 32);
    part(name, `r${name}`, 0, 16);
    part(`${name}l`, `r${name}`, 0, 8);
  }
  for (let i = 8; i < 16; i++) {
    part(`r${i}d`, `r${i}`, 0, 32);
    part(`r${i}w`, `r${i}`, 0, 16);
    part(`r${i}b`, `r${i}`, 0, 8);
  }
  all.set('cpl', { name: 'cpl', read: (s) => BigInt(s.cpl) });
  return all;
}

const ALL = registers();

/** `rax`, `$rax`, `EAX`. */
export function registerNamed(name: string): RegisterRef | undefined {
  return ALL.get(name.replace(/^\$/, '').toLowerCase());
}
