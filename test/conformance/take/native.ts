/** Builds the taker with the compiler at hand and runs cases on it. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { arch, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstructionRow } from '../../../src/isa/row.ts';
import { caseBytes, readResult, type TakerCase, type TakerResult } from './case.ts';
import { LOCAL, userDescriptor } from './descriptors.ts';

const MAGIC = 0x656b6174;
const FLAGS = [
  '-std=gnu17',
  '-O1',
  '-fno-stack-protector',
  '-mgeneral-regs-only',
  '-mfsgsbase',
  '-fpie',
  '-pie',
  '-Wall',
];

/** Why nothing can be taken here, or undefined. */
export function cannotTake(): string | undefined {
  if (process.platform !== 'linux' || arch() !== 'x64') return 'needs Linux on x86-64';
  const flags = hostFlags();
  for (const flag of ['fsgsbase', 'xsave', 'avx2']) if (!flags.has(flag)) return `needs a processor with ${flag}`;
  if (spawnSync('gcc', ['--version']).status !== 0) return 'needs gcc';
  return undefined;
}

/** What /proc/cpuinfo says of the first processor under `name`. */
function hostSays(name: string): string {
  if (!existsSync('/proc/cpuinfo')) return '';
  return new RegExp(`^${name}\\s*:(.*)$`, 'm').exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim() ?? '';
}

export function hostFlags(): Set<string> {
  return new Set(hostSays('flags').split(/\s+/));
}

/** Whether the host is an AMD, as ours claims to be: others do many a thing another way that the manuals leave open. */
export const isAmd = (): boolean => hostSays('vendor_id') === 'AuthenticAMD';

/** Whether it is one like that which ours was measured against: Zen 4. */
export const isMeasured = (): boolean =>
  isAmd() && hostSays('cpu family') === '25' && Number(hostSays('model')) >> 4 === 1;

/** Names of /proc/cpuinfo that differ from the instruction table's. */
const HOST_NAMES: Readonly<Record<string, string>> = {
  'sse4.1': 'sse4_1',
  'sse4.2': 'sse4_2',
  sse3: 'pni',
  lzcnt: 'abm',
  sha: 'sha_ni',
  avxvnni: 'avx_vnni',
  'avx-vnni': 'avx_vnni',
  cx8: 'cx8',
  x87: 'fpu',
  clflush: 'clflush',
};

/** Whether the host has what `row` needs. */
export function hostHas(flags: ReadonlySet<string>, row: InstructionRow): boolean {
  return [row.feature, row.feature256].every((name) => {
    const known = HOST_NAMES[name] ?? name.replace('.', '_');
    // Of `monitor` user mode sees nothing but #UD.
    return name === '' || name === 'monitor' || name === 'syscall' || name === 'sep' || flags.has(known);
  });
}

export class Taker {
  readonly #folder = mkdtempSync(join(tmpdir(), 'taker-'));
  readonly #program = join(this.#folder, 'taker');

  constructor() {
    const source = join(import.meta.dirname, 'taker.c');
    const built = spawnSync('gcc', [...FLAGS, '-o', this.#program, source], { encoding: 'utf8' });
    if (built.status !== 0) throw new Error(`gcc cannot build ${source}:\n${built.stderr}`);
  }

  /** Results in the order of `cases`. */
  run(cases: readonly TakerCase[]): TakerResult[] {
    const header = new Uint8Array(Uint32Array.of(MAGIC, LOCAL.length).buffer);
    const input = Buffer.concat([header, ...LOCAL.map(userDescriptor), ...cases.map(caseBytes)]);
    const done = spawnSync(this.#program, { input, maxBuffer: 1 << 30 });
    const view = new DataView(done.stdout.buffer, done.stdout.byteOffset, done.stdout.length);
    const results: TakerResult[] = [];
    for (let at = 0; at < view.byteLength; ) {
      const { result, next } = readResult(view, at);
      results.push(result);
      at = next;
    }
    if (done.status !== 0 || results.length !== cases.length) {
      const code = Buffer.from(cases[results.length]?.code ?? []).toString('hex');
      const how = done.signal ?? `status ${done.status}`;
      throw new Error(
        `the taker ended (${how}) after ${results.length} of ${cases.length} cases, at ${code}: ${done.stderr}`,
      );
    }
    return results;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
