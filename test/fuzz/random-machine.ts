/**
 * Random bytes as code, for as many ticks as asked: where the code stops by itself (halt with no one to wake it, shutdown),
 * the vcpu starts again at another place of the same random memory. What happens depends on the seed alone.
 */
import * as L from '../../src/cpu/layout.ts';
import { CR4 } from '../../src/cpu/state.ts';
import { VECTOR } from '../../src/cpu/fault.ts';
import { BareMachine } from '../support/bare-machine.ts';
import { type Mode, PAGES, random, reseed, restart } from '../cpu/engine/random-code.ts';

export interface FuzzResult {
  /** One word for everything the guest could see, exits included. */
  readonly digest: string;
  readonly ticks: number;
  readonly exceptions: number;
  readonly restarts: number;
}

/** How often is looked whether the code goes on. */
const CHECK_TICKS = 250;
/** A share of exceptions above this means that handlers only fault again. */
const STORM = 0.3;

export function fuzzMachine(maxBlock = 64): BareMachine {
  return new BareMachine(PAGES, { maxBlock, codeBytes: 2 << 20 });
}

/**
 * Runs `seed` for `ticks` on `m`, whatever ran there before.
 * @param piece lengths of the pieces to run in; the result must not depend on it
 */
export function fuzz(m: BareMachine, seed: number, mode: Mode, ticks: number, piece?: () => number): FuzzResult {
  const r = random(seed ^ 0x5bd1e995);
  reseed(m, seed, mode);
  m.engine.takeDirtyFrames();
  enable(m, r);
  let restarts = 0;
  let exceptions = 0;
  while (m.now < ticks) {
    const until = Math.min(ticks, m.now + CHECK_TICKS);
    const before = { tick: m.now, exits: m.exitLog.length };
    m.run(until - m.now, piece);
    const raised = m.exitLog.slice(before.exits).filter((line) => line.includes('exception')).length;
    exceptions += raised;
    const halted = m.engine.state.get32(L.ACTIVITY) === 1;
    if (halted && r() % 2 === 0) {
      m.engine.injectException(VECTOR.BP, -1);
    } else if (m.now < until || raised > (until - before.tick) * STORM) {
      restarts++;
      restart(m, r(), mode);
      enable(m, r);
    }
    // Starting costs a tick, so that this ends.
    if (m.now < until) m.now++;
  }
  return { digest: digest(m), ticks: m.now, exceptions, restarts };
}

/** Registers, exits, and the frames that changed since `reseed`; the others hold what the seed says. */
function digest(m: BareMachine): string {
  let h = m.engine.stateDigest();
  for (const mfn of m.engine.takeDirtyFrames()) h = BigInt.asUintN(64, h * 31n + m.engine.frameDigest(mfn));
  return `${h.toString(16)} at ${m.now}, ${m.exitLog.length} exits ${hash(m.exitLog)}`;
}

/** Turns features on, so that random bytes reach the vector unit, XSAVE and the debug registers. */
function enable(m: BareMachine, r: () => number): void {
  const s = m.engine.state;
  const bits = r();
  let cr4 = CR4.OSFXSR | CR4.OSXMMEXCPT;
  if (bits & 1) cr4 |= CR4.OSXSAVE;
  if (bits & 2) cr4 |= CR4.FSGSBASE;
  if (bits & 4) cr4 |= CR4.DE;
  s.set64(L.CR4, s.get64(L.CR4) | BigInt(cr4));
  if (bits & 1) s.set64(L.XCR0, 7n);
  m.engine.processor.modeChanged();
}

function hash(lines: readonly string[]): string {
  let h = 0;
  for (const line of lines) for (let i = 0; i < line.length; i++) h = (Math.imul(h, 31) + line.charCodeAt(i)) | 0;
  return (h >>> 0).toString(16);
}
