import type { ProcessorContext } from '../context.ts';
import { raise, VECTOR } from '../fault.ts';
import * as L from '../layout.ts';
import { FLAG, SEG } from '../state.ts';
import { commitParagraph, linear } from './descriptors.ts';
import type { InterruptEvent } from './events.ts';
import { StackView } from './stack.ts';

/** Real-address mode: a far pointer of 4 bytes at IDTR.base + 4 * vector (Intel SDM 3B 21.1.4). No error codes. */
export function deliverReal(cpu: ProcessorContext, event: InterruptEvent): void {
  const { s, mem } = cpu;
  const entry = event.vector * 4;
  if (entry + 3 > s.get32(L.IDTR_LIMIT)) raise(VECTOR.GP, event.vector * 8 + 2);
  const at = linear(s, s.get64(L.IDTR_BASE) + BigInt(entry));
  const offset = mem.read16(at, true);
  const selector = mem.read16(linear(s, at + 2n), true);
  if (offset > s.limit(SEG.CS)) raise(VECTOR.GP, 0);
  const stack = StackView.current(cpu);
  stack.reserve(3, 2);
  const flags = s.eflags;
  stack.push(BigInt(flags & 0xffff), 2);
  stack.push(BigInt(s.selector(SEG.CS)), 2);
  stack.push(s.rip + BigInt(event.instructionLength), 2);
  stack.commitPointer();
  commitParagraph(s, SEG.CS, selector);
  s.rip = BigInt(offset);
  s.eflags = flags & ~(FLAG.IF | FLAG.TF | FLAG.AC | FLAG.RF);
  cpu.modeChanged();
}
