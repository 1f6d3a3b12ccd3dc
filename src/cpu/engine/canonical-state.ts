import * as L from '../layout.ts';
import type { CpuState } from '../state.ts';

/** [from, to) of state fields that do not belong to the guest. */
const DERIVED_FIELDS: readonly (readonly [number, number])[] = [
  [L.SLOT_ZERO, L.SLOT_SEG_BASE],
  [L.FLAG_RES, L.EFLAGS_REST],
  [L.BUDGET, L.CPL],
  [L.CODE_MODE, L.ACTIVITY],
  [L.TICK_BASE, L.PENDING_DEBUG],
  [L.SHADOW_TICK, L.SEGMENT],
  [L.CODE_BASE, L.CODE_BASE + 8],
];

/**
 * Copies the current vcpu's state to linear-memory address `copy` (STATE_BYTES, 8-byte aligned) in the one form that
 * every tier and host agrees on: what is derived, host-side or lazily kept is replaced by what it means.
 */
export function copyCanonicalState(s: CpuState, copy: number): void {
  s.u8.copyWithin(copy, 0, L.STATE_BYTES);
  for (const [from, to] of DERIVED_FIELDS) s.u8.fill(0, copy + from, copy + to);
  s.set32(copy + L.EFLAGS_REST, s.eflags);
  const shadow = s.get32(L.INTERRUPT_SHADOW) !== 0 && s.f64[L.SHADOW_TICK >> 3] === s.f64[L.TICK_BASE >> 3];
  s.set32(copy + L.INTERRUPT_SHADOW, shadow ? 1 : 0);
}
