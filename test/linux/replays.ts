/**
 * Replays one recording many times, each in a process of its own, and says whether all came to one digest.
 *
 *     npm run replays -- FILE [--times 100] [--jobs 2] [--node PATH ...]
 *
 * With several --node, the replays take turns on those programs: the same recording on several versions of Node.
 * Exit status 0 if every replay was verified to the recording's end and there is one digest.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { scriptArguments } from '../../src/host/script-arguments.ts';

const USAGE = `usage: npm run replays -- FILE [--times N] [--jobs N] [--node PATH]...
Replays a recording in processes of their own, by turns with each Node given: all must verify with one digest.
example: npm run replays -- recordings/linux.rxn --times 20`;

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** What `rexen replay --json` prints, as far as it is needed here. */
interface Replayed {
  readonly verified: boolean;
  readonly whole: boolean;
  readonly ticks: number;
  readonly digest: string;
  readonly divergence: unknown;
}

export interface Replays {
  /** How many replays came to this digest, whole and verified. */
  readonly digests: ReadonlyMap<string, number>;
  /** What the others said. */
  readonly failures: readonly string[];
}

/** One replay by the command line. @throws Error if it printed no result */
function replayOnce(file: string, node: string): Promise<Replayed> {
  return new Promise((resolve, reject) => {
    execFile(node, [...typeStripping(node), MAIN, 'replay', file, '--json'], (error, stdout, stderr) => {
      try {
        resolve(JSON.parse(stdout) as Replayed);
      } catch {
        reject(new Error(`${node}: ${stderr || String(error)}`));
      }
    });
  });
}

/** Node 22 runs TypeScript behind an option; later ones know the option too. */
function typeStripping(node: string): string[] {
  return node === process.execPath ? [] : ['--experimental-strip-types', '--no-warnings'];
}

/**
 * Replays `file` `times` times, `jobs` at once, on each of `nodes` in turn.
 * @param progress is told how many are done, after each
 */
export async function replayMany(
  file: string,
  { times, jobs, nodes = [process.execPath] }: { times: number; jobs: number; nodes?: readonly string[] },
  progress: (done: number, digest: string) => void = () => {},
): Promise<Replays> {
  const digests = new Map<string, number>();
  const failures: string[] = [];
  let started = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (started < times) {
      const node = nodes[started++ % nodes.length];
      try {
        const { verified, whole, digest, divergence } = await replayOnce(file, node);
        if (verified && whole) digests.set(digest, (digests.get(digest) ?? 0) + 1);
        else failures.push(JSON.stringify({ node, whole, divergence }));
        progress(++done, digest);
      } catch (error) {
        failures.push((error as Error).message);
        progress(++done, 'none');
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return { digests, failures };
}

async function main(): Promise<number> {
  const { values, positionals } = scriptArguments(USAGE, {
    allowPositionals: true,
    options: {
      times: { type: 'string', default: '100' },
      jobs: { type: 'string', default: '2' },
      node: { type: 'string', multiple: true },
    },
  });
  const [file] = positionals;
  if (file === undefined) throw new Error('say which recording');
  const times = Number(values.times);
  const begun = process.hrtime.bigint();
  const { digests, failures } = await replayMany(
    file,
    { times, jobs: Number(values.jobs), ...(values.node && { nodes: values.node }) },
    (done, digest) => console.log(`${done}/${times} ${digest}`),
  );
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  for (const failure of failures) console.log(`FAILED ${failure}`);
  for (const [digest, count] of digests) console.log(`${count} of ${times} verified, digest ${digest}`);
  console.log(`${seconds.toFixed(0)} s`);
  return failures.length === 0 && digests.size === 1 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main();
