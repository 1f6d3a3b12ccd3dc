/** Runs the 32-bit image on rexen's processor alone: no hypervisor, no log. */
import { Exit } from '../../../src/cpu/exits.ts';
import { SEG } from '../../../src/cpu/state.ts';
import * as L from '../../../src/cpu/layout.ts';
import { BareMachine } from '../../../test/support/bare-machine.ts';
import { hostTime, type HostTime, since } from '../../timer.ts';
import { entryOf, LOAD_ADDRESS, MEMORY_BYTES, OUTPUT_PORT, type Run32 } from './image.ts';

const CODE_32 = 0xc09b;
const DATA_32 = 0xc093;
const PROTECTED = 0x11n;
/** As the machine gives them. */
const SLICE_TICKS = 100_000;

export function runOnRexen(image: Uint8Array<ArrayBuffer>): Run32 {
  let text = '';
  let start: { host: HostTime; tick: number } | undefined;
  let end: { host: HostTime; tick: number } | undefined;
  let halted = false;
  const machine = new BareMachine(
    MEMORY_BYTES / 4096,
    { codeBytes: 24 << 20 },
    {
      portWrite: (port, _size, value) => {
        if (port !== OUTPUT_PORT) return Exit.CONTINUE;
        const tick = machine.engine.now();
        if (value === 0x53) start = { host: hostTime(), tick };
        else if (value === 0x44 && start) end = { host: since(start.host), tick };
        else text += String.fromCharCode(value);
        return Exit.CONTINUE;
      },
      halt: () => {
        halted = true;
        return Exit.YIELD;
      },
    },
  );
  const { state, processor } = machine.engine;
  machine.memory.write(LOAD_ADDRESS, image);
  state.set64(L.CR0, PROTECTED);
  state.setSegment(SEG.CS, 8, 0n, 0xffffffff, CODE_32);
  for (const segment of [SEG.SS, SEG.DS, SEG.ES, SEG.FS, SEG.GS])
    state.setSegment(segment, 16, 0n, 0xffffffff, DATA_32);
  state.rip = BigInt(entryOf(image));
  processor.modeChanged();
  while (!halted && machine.run(SLICE_TICKS) > 0);
  if (!start || !end) throw new Error(`the 32-bit image did not end: ${JSON.stringify(text)}`);
  return { host: end.host, instructions: end.tick - start.tick, result: text.trim() };
}
