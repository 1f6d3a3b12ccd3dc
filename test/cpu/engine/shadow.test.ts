import { describe, expect, it } from 'vitest';
import type { Ticks } from '../../../src/base/ticks.ts';
import { SEG } from '../../../src/cpu/state.ts';
import { BareMachine } from '../../support/bare-machine.ts';

/** STI holds interrupts off for one more instruction (Intel SDM 2, STI). */
describe('an interrupt that waits when STI opens the window', () => {
  // sti; nop; nop; nop; jmp to the first nop
  const CODE = Uint8Array.of(0xfb, 0x90, 0x90, 0x90, 0xeb, 0xfb);

  function machine(): BareMachine {
    const bare = new BareMachine(16, {}, { interruptWindow: () => true });
    const { state } = bare.engine;
    bare.memory.write(0x1000, CODE);
    state.setSegment(SEG.CS, 0, 0n, 0xffff, state.attributes(SEG.CS));
    state.rip = 0x1000n;
    return bare;
  }

  it('is looked at again right behind the next instruction, however long the run may be', () => {
    const { engine } = machine();
    expect(engine.run(0 as Ticks, 1000)).toBe(1);
    expect(engine.interruptible()).toBe(false);
    expect(engine.run(1 as Ticks, 1000)).toBe(1);
    expect(engine.interruptible()).toBe(true);
    expect(engine.state.rip).toBe(0x1002n);
    expect(engine.run(2 as Ticks, 1000)).toBe(1000);
  });

  it('is looked at there too if the run was cut at the STI', () => {
    const { engine } = machine();
    engine.run(0 as Ticks, 1);
    engine.run(1 as Ticks, 1);
    expect(engine.interruptible()).toBe(true);
    expect(engine.state.rip).toBe(0x1002n);
  });
});
