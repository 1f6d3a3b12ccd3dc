/** V8's .cpuprofile (`node --cpu-prof`), summed by function: where the host's time goes. */

/** What V8 writes. `timeDeltas[i]`: microseconds before sample i. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface HostFunction {
  readonly name: string;
  /** `file.ts:line`, `wasm`, or nothing for what is V8's own. */
  readonly where: string;
  readonly selfMs: number;
  /** Of all time that was not idle. */
  readonly share: number;
  /** With all it calls, counted once where it recurs. */
  readonly totalMs: number;
}

const IDLE = '(idle)';

/** Functions by their own time, the largest first. @throws Error if it is no profile */
export function hostFunctions(profile: CpuProfile): HostFunction[] {
  const { nodes, samples, timeDeltas } = profile;
  if (!Array.isArray(nodes) || !Array.isArray(samples) || !Array.isArray(timeDeltas))
    throw new Error('not a .cpuprofile');
  const self = new Map<number, number>();
  for (const [i, id] of samples.entries())
    self.set(id, (self.get(id) ?? 0) + Math.max(0, timeDeltas[i + 1] ?? 0) / 1000);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const sums = new Map<string, { name: string; where: string; selfMs: number; totalMs: number }>();
  /** Children are summed into their parents; a function that is already above itself is not added again. */
  const visit = (id: number, above: ReadonlySet<string>): number => {
    const node = byId.get(id)!;
    const { functionName, url, lineNumber } = node.callFrame;
    const name = functionName || '(anonymous)';
    const where = place(url, lineNumber);
    const key = `${name} ${where}`;
    const ownMs = self.get(id) ?? 0;
    const inside = above.has(key) ? above : new Set([...above, key]);
    let totalMs = ownMs;
    for (const child of node.children ?? []) totalMs += visit(child, inside);
    const entry = sums.get(key) ?? { name, where, selfMs: 0, totalMs: 0 };
    entry.selfMs += ownMs;
    if (!above.has(key)) entry.totalMs += totalMs;
    sums.set(key, entry);
    return totalMs;
  };
  if (nodes.length > 0) visit(nodes[0].id, new Set());
  const busy = [...sums.values()].filter(({ name }) => name !== IDLE);
  const all = busy.reduce((sum, { selfMs }) => sum + selfMs, 0) || 1;
  return busy.map((entry) => ({ ...entry, share: entry.selfMs / all })).sort((a, b) => b.selfMs - a.selfMs);
}

function place(url: string, line: number): string {
  if (url.startsWith('wasm:')) return 'wasm';
  if (url === '') return '';
  const short = url.replace(/^file:\/\//, '').replace(/^.*\/(src|replay|perf|node_modules)\//, '$1/');
  return `${short}:${line + 1}`;
}

/** A table for people. */
export function hostTable(functions: readonly HostFunction[], top: number): string[] {
  const shown = functions.slice(0, top);
  const lines = shown.map(({ name, where, selfMs, totalMs, share }) => {
    const percent = `${(100 * share).toFixed(1)} %`.padStart(7);
    return `${percent} ${selfMs.toFixed(0).padStart(8)} ${totalMs.toFixed(0).padStart(8)}  ${name}  ${where}`;
  });
  return ['  share  self ms total ms  function', ...lines];
}
