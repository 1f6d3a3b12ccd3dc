/**
 * Counters of the machine's inner works. Declared once, one a line; while nobody counts, nothing of this is in the
 * code that runs: `startCounting` puts a counting function in front of each method (of those objects made afterwards,
 * for what generated code calls), `stop` takes it away.
 *
 *     const counting = startCounting();
 *     runOnce(workload, 'off');
 *     console.log(counterTable(counting.stop(), instructions));
 */
import { BlockBuilder } from '../src/cpu/engine/blocks.ts';
import { CodeCache } from '../src/cpu/engine/code-cache.ts';
import { WasmEngine } from '../src/cpu/engine/wasm-engine.ts';
import { Mmu } from '../src/cpu/mmu.ts';
import { EventLog } from '../src/log/append.ts';
import { Clock } from '../src/machine/clock.ts';
import { TlbSet } from '../src/memory/tlb.ts';

/** A class and the method whose calls are counted. */
type Probe = readonly [owner: { readonly prototype: object }, method: string, meaning: string];

/** What TypeScript does for the machine. */
const METHODS: Readonly<Record<string, Probe>> = {
  runs: [WasmEngine, 'run', 'runs of the engine: slices, alarms, exits that leave'],
  'vcpu switches': [WasmEngine, 'switchTo', 'calls that make a vcpu current, also where it is already'],
  'idle jumps': [Clock, 'jump', 'jumps of the clock while every processor waits'],
  'log records': [EventLog, 'appendAt', 'records appended to the event log'],
  'block finds': [BlockBuilder, 'find', 'blocks looked up in TypeScript'],
  'blocks installed': [CodeCache, 'install', 'blocks decoded'],
  'blocks shortened': [BlockBuilder, 'shortened', 'copies of blocks that a budget cuts'],
  'code drops': [CodeCache, 'drop', 'frames whose decoded code was thrown away'],
  'code clears': [BlockBuilder, 'clear', 'times all decoded code was thrown away'],
  'read misses': [Mmu, 'locateRead', 'reads that did not hit in the TLB'],
  'write misses': [Mmu, 'locateWrite', 'writes that did not hit, or not for writing'],
  'fetch lookups': [Mmu, 'fetchEntry', 'translations for fetches in TypeScript'],
  'TLB data fills': [TlbSet, 'fillData', ''],
  'TLB fetch fills': [TlbSet, 'fillFetch', ''],
  'TLB flushes': [TlbSet, 'flush', 'flushes of a whole TLB, or of all but its global entries'],
  'TLB page flushes': [TlbSet, 'flushPage', ''],
  'TLB protections': [TlbSet, 'protectFrame', 'walks over the TLB that shut the fast path of writes'],
};

export interface Counted {
  readonly name: string;
  readonly meaning: string;
  readonly count: number;
}

export interface Counting {
  /** Counts so far, by name. */
  read(): Counted[];
  /** The same, and everything is as before. */
  stop(): Counted[];
}

type Callable = (this: unknown, ...args: unknown[]) => unknown;

/** Begins to count. Machines made from now on also count what their generated code calls. Not re-entrant. */
export function startCounting(): Counting {
  const counts = new Map<string, { count: number; meaning: string }>();
  const undo: (() => void)[] = [];
  const counter = (name: string, meaning: string): { count: number; meaning: string } => {
    const entry = counts.get(name) ?? { count: 0, meaning };
    counts.set(name, entry);
    return entry;
  };
  for (const [name, [owner, method, meaning]] of Object.entries(METHODS)) {
    const prototype = owner.prototype as Record<string, Callable>;
    const original = prototype[method];
    if (typeof original !== 'function') throw new Error(`the counter "${name}" counts ${method}, which is not there`);
    const entry = counter(name, meaning);
    prototype[method] = function (...args) {
      entry.count++;
      return original.apply(this, args);
    };
    undo.push(() => {
      prototype[method] = original;
    });
  }
  undo.push(countImports(counter));
  const read = () => [...counts].map(([name, { count, meaning }]) => ({ name, meaning, count }));
  return {
    read,
    stop: () => {
      for (const back of undo) back();
      return read();
    },
  };
}

/** Calls out of generated code, by the import's name. */
function countImports(counter: (name: string, meaning: string) => { count: number }): () => void {
  const original = WebAssembly.Instance;
  const counted = class extends original {
    constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
      const env: Record<string, WebAssembly.ImportValue> = { ...imports?.['env'] };
      for (const [name, value] of Object.entries(env)) {
        if (typeof value !== 'function') continue;
        const entry = counter(`call ${name}`, 'calls from generated code');
        env[name] = (...args: unknown[]) => {
          entry.count++;
          return (value as Callable)(...args);
        };
      }
      super(module, { ...imports, env });
    }
  };
  (WebAssembly as { Instance: unknown }).Instance = counted;
  return () => {
    (WebAssembly as { Instance: unknown }).Instance = original;
  };
}

/** For people: counts, and counts in a million instructions. */
export function counterTable(counted: readonly Counted[], instructions: number): string[] {
  const million = instructions / 1e6;
  const lines = counted
    .filter(({ count }) => count > 0)
    .map(({ name, count, meaning }) => {
      const rate = (count / million).toFixed(1).padStart(12);
      return `${String(count).padStart(14)} ${rate}  ${name.padEnd(18)} ${meaning}`.trimEnd();
    });
  return ['         count  per million  counter', ...lines];
}
