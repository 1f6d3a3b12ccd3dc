/** What a place in time is, as one short text: two sessions at the same place have the same, whichever way they came. */
import type { Session } from '../src/session.ts';

/**
 * Tick, events so far, the state of every vcpu and all machine memory, by 64-bit hashes. TLBs and decoded code are left
 * out. Changes nothing. Costs about a tenth of a second for 256 MiB.
 */
export function placeDigest(session: Session): string {
  const { engine } = session;
  const { current } = engine;
  const vcpus: string[] = [];
  for (const { slot } of session.xen.vcpus()) {
    engine.switchTo(slot);
    vcpus.push(engine.stateDigest().toString(16));
  }
  if (current) engine.switchTo(current);
  // Each frame's hash has its number in it, so their order does not matter.
  let memory = 0n;
  for (let mfn = 0; mfn < engine.frames.frameCount; mfn++) memory += engine.frameDigest(mfn);
  return `${session.now()} #${session.log.seq} ${vcpus.join(',')} ${BigInt.asUintN(64, memory).toString(16)}`;
}
