import { describe, expect, it } from 'vitest';
import * as L from '../../../src/cpu/layout.ts';
import { startFlat32 } from '../../../src/cpu/system/index.ts';
import { BareMachine } from '../../support/bare-machine.ts';

/** Runs flat 32-bit code at 0x1000 until it halts. */
function run(code: string, setUp: (m: BareMachine) => void, maxBlock = 64, piece?: () => number): BareMachine {
  const m = new BareMachine(16, { maxBlock });
  m.memory.write(0x1000, Buffer.from(code.replaceAll(' ', ''), 'hex'));
  startFlat32(m.engine.state, 0x1000, 0);
  m.engine.processor.modeChanged();
  setUp(m);
  m.run(1000, piece);
  return m;
}

describe('code that overwrites code', () => {
  it('in another page leaves the operands of the running instruction alone', () => {
    // ecx = 3; esi = 2000; edi = 3000. again: call esi (decodes page 2000); esp = 2004; call edi, which pushes over
    // the code at 2000; put the RET back; loop again; hlt.
    const again = 'bc00800000 ffd6 bc04200000 ffd7 c60500200000c3 e2e9 f4';
    const m = run(`b903000000 be00200000 bf00300000 ${again}`, ({ memory }) => {
      memory.write(0x2000, Uint8Array.of(0xc3));
      memory.write(0x3000, Uint8Array.of(0xc3));
    });
    expect(m.engine.state.get32(L.ACTIVITY)).toBe(1);
    expect(m.now).toBe(3 + 3 * 8 + 1);
    expect(m.engine.state.reg32(1)).toBe(0);
  });

  it('that is a repeated string instruction is seen at its next iteration, wherever the run is cut', () => {
    // rep stosb over itself with 0x90 (nop): the first byte goes, and what is left is a plain stosb.
    const code = 'b908000000 bf0c100000 b090 f3aa 90 90 90 90 90 90 f4';
    const end = (maxBlock: number, piece?: () => number): string => {
      const m = run(code, () => {}, maxBlock, piece);
      expect(m.engine.state.get32(L.ACTIVITY)).toBe(1);
      return `${m.digest()} ${m.engine.state.reg32(1)}`;
    };
    const whole = end(64);
    expect(whole.endsWith(' 7')).toBe(true);
    expect(end(1)).toBe(whole);
    expect(end(64, () => 1)).toBe(whole);
    expect(end(64, () => 5)).toBe(whole);
  });
});
