/** `npm run vectors -- FILE...`: runs files of single-instruction vectors (.jsonl or .jsonl.gz) and reports. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { disassemble } from '../../src/isa/disassemble.ts';
import { type Placement, type Vector, VectorMachine } from './vector-machine.ts';

export interface VectorSummary {
  total: number;
  passed: number;
  /** Failed vectors by family. */
  failed: Record<string, number>;
  /** Vectors of instructions that the processor does not have, by mnemonic. */
  unsupported: Record<string, number>;
}

export function readVectors(file: string): Vector[] {
  const raw = readFileSync(file);
  const text = (raw[0] === 0x1f ? gunzipSync(raw) : raw).toString('utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Vector);
}

export function runVectors(
  vectors: Iterable<Vector>,
  machine: VectorMachine,
  report: (v: Vector, lines: string[]) => void,
  placement: Placement = 'alone',
): VectorSummary {
  const summary: VectorSummary = { total: 0, passed: 0, failed: {}, unsupported: {} };
  for (const v of vectors) {
    summary.total++;
    const lines = machine.run(v, placement);
    if (lines.length === 0) summary.passed++;
    else if (lines[0] === 'raised vector 6') {
      const name = disassemble(Buffer.from(v.bytes, 'hex'), BigInt(v.rip), v.mode ?? 64).split(' ')[0]!;
      summary.unsupported[name] = (summary.unsupported[name] ?? 0) + 1;
    } else {
      summary.failed[v.family] = (summary.failed[v.family] ?? 0) + 1;
      report(v, lines);
    }
  }
  return summary;
}

function main(args: string[]): number {
  const files = args.filter((a) => !a.startsWith('--'));
  const json = args.includes('--json');
  if (files.length === 0 || args.includes('--help')) {
    console.log(
      'usage: npm run vectors -- [--json] [--quiet] FILE...\nexample: npm run vectors -- ../shared/x86-vectors/alu.jsonl.gz',
    );
    return files.length === 0 ? 2 : 0;
  }
  const machine = new VectorMachine();
  const all: VectorSummary = { total: 0, passed: 0, failed: {}, unsupported: {} };
  const shown = new Map<string, number>();
  for (const file of files) {
    const s = runVectors(readVectors(file), machine, (v, lines) => {
      const n = (shown.get(v.form) ?? 0) + 1;
      shown.set(v.form, n);
      if (json || args.includes('--quiet') || n > 2) return;
      const bytes = Buffer.from(v.bytes, 'hex');
      console.log(
        `${v.id} ${v.form}: ${v.bytes}  ${disassemble(bytes, BigInt(v.rip), v.mode ?? 64)}\n  ${lines.join('\n  ')}`,
      );
    });
    all.total += s.total;
    all.passed += s.passed;
    for (const [k, n] of Object.entries(s.failed)) all.failed[k] = (all.failed[k] ?? 0) + n;
    for (const [k, n] of Object.entries(s.unsupported)) all.unsupported[k] = (all.unsupported[k] ?? 0) + n;
  }
  if (json) console.log(JSON.stringify(all));
  else console.log(`${all.passed} of ${all.total} passed`, all.failed, all.unsupported);
  if (args.includes('--forms')) console.log([...shown].sort((a, b) => b[1] - a[1]));
  return all.passed === all.total ? 0 : 1;
}

if (import.meta.filename === process.argv[1]) process.exitCode = main(process.argv.slice(2));
