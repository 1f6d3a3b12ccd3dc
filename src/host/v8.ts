/** What only Node and V8 understand. Import this file for its effect, first of all. */
import { enableCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { tiering } from '../cpu/engine/tiering.ts';

// TypeScript is stripped and compiled once a machine, not once a start: half of a short command's time.
enableCompileCache?.();

let done = false;

// Functions are compiled at their first call, by the flags of that moment: the dispatch loop goes straight to the
// optimising compiler (0.1 s), all others start quick as usual. The loop is left every slice and never recurses, so
// the check of the stack at each of its turns, a twentieth of the time, goes.
tiering.compileWell = (firstCall) => {
  if (done) {
    firstCall();
    return;
  }
  setFlagsFromString('--no-liftoff');
  setFlagsFromString('--no-wasm-stack-checks');
  try {
    firstCall();
    done = true;
  } finally {
    setFlagsFromString('--liftoff');
    setFlagsFromString('--wasm-stack-checks');
  }
};
