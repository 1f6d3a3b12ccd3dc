/** How a vcpu of a session came to where it is. */
import { type Frame, unwind } from '../src/debug/symbols/unwind.ts';
import type { SymbolTable } from '../src/debug/symbols/symbol-table.ts';
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import { REG } from '../src/cpu/state.ts';
import type { Session } from '../src/session.ts';
import { codeBits } from './inspect.ts';
import { withVcpu } from '../src/inspect/places.ts';
import { symbolsOf, vcpuReader } from '../src/inspect/symbols.ts';

/**
 * Frames of `vcpu`, the innermost first. Changes nothing that a guest could see.
 * @param depth frames at most
 */
export function backtrace(
  session: Session,
  vcpu: Vcpu,
  symbols: SymbolTable | undefined = symbolsOf(session, vcpu.domain.id),
  depth = 32,
): readonly Frame[] {
  const state = withVcpu(session, vcpu, () => {
    const { state: s } = session.engine;
    return {
      rip: s.rip,
      rsp: s.reg(REG.RSP),
      rbp: s.reg(REG.RBP),
      r10: s.reg(REG.R10),
      r13: s.reg(REG.R13),
      rdi: s.reg(REG.RDI),
      rdx: s.reg(REG.RDX),
      bits: codeBits(session.engine),
      user: s.cpl === 3,
    };
  });
  return unwind(state, vcpuReader(session, vcpu), symbols, depth);
}

/** `#1  ffffffff810ed9a7  do_idle+0x1f7`; `?` where it may be a leftover, as Linux marks it. */
export function frameText({ address, symbol, by }: Frame, number: number): string {
  const mark = by === 'scan' ? '? ' : '';
  return `#${String(number).padEnd(2)} ${address.toString(16).padStart(16, '0')}  ${mark}${symbol ?? '??'}`;
}
