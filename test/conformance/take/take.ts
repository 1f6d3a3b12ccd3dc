/**
 * `npm run vectors:take -- --seed N --count N [--family NAME…] [--mode 64|32|16] -o FILE`: takes new vectors on the processor
 * at hand, in the format of shared/x86-vectors (README.md there), for `npm run vectors`.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { Vector } from '../vector-machine.ts';
import type { Bits } from './encode.ts';
import { type Generated, Generator, rowsByFamily } from './generate.ts';
import { cannotTake, hostFlags, Taker } from './native.ts';
import { Random } from './random.ts';
import { vectorOf } from './taken.ts';

/** A taker process runs this many cases. */
const BATCH = 4096;

export interface Order {
  readonly seed: number;
  readonly count: number;
  /** Families of the table, or `random` (bytes). Empty: all of the table's. */
  readonly families: readonly string[];
  readonly mode: Bits;
}

export interface Taken {
  readonly vectors: Vector[];
  /** Cases without a vector, by reason. */
  readonly unusable: Record<string, number>;
}

export const RANDOM_BYTES = 'random';

/** Takes vectors; the same order gives the same ones on the same processor. */
export function take(order: Order, taker: Taker): Taken {
  const families = rowsByFamily(hostFlags());
  for (const name of order.families)
    if (name !== RANDOM_BYTES && !families.has(name))
      throw new Error(`no family "${name}": there are ${[...families.keys(), RANDOM_BYTES].join(', ')}`);
  const names = order.families.length > 0 ? order.families : [...families.keys()];
  const rows = names.flatMap((name) => families.get(name) ?? []);
  const r = new Random(order.seed);
  const generator = new Generator(rows, order.mode, order.seed, r);
  const vectors: Vector[] = [];
  const unusable: Record<string, number> = {};
  while (vectors.length < order.count) {
    const batch: Generated[] = [];
    while (batch.length < Math.min(BATCH, order.count - vectors.length)) {
      const one = generator.next();
      if (one !== undefined) batch.push(one);
    }
    for (const [i, result] of taker.run(batch.map(({ taken }) => taken)).entries()) {
      const { taken, naming } = batch[i]!;
      const vector = vectorOf(taken, result, { ...naming, id: generator.id(naming.family) });
      if (typeof vector === 'string') unusable[vector] = (unusable[vector] ?? 0) + 1;
      else vectors.push(vector);
    }
  }
  return { vectors, unusable };
}

const USAGE = `usage: npm run vectors:take -- [--seed N] [--count N] [--mode 64|32|16] [--family NAME]... -o FILE
Takes single-instruction vectors on this machine's processor; FILE is .jsonl or .jsonl.gz. Then: npm run vectors -- FILE
example: npm run vectors:take -- --seed 7 --count 10000 --family alu --family shift -o /tmp/seven.jsonl.gz`;

function main(args: string[]): number {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: 'string', default: '1' },
      count: { type: 'string', default: '10000' },
      family: { type: 'string', multiple: true, default: [] },
      mode: { type: 'string', default: '64' },
      output: { type: 'string', short: 'o' },
      help: { type: 'boolean' },
    },
  });
  if (values.help || values.output === undefined) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  const [seed, count, mode] = [Number(values.seed), Number(values.count), Number(values.mode)];
  if (!Number.isInteger(seed) || !Number.isInteger(count) || count < 1 || ![16, 32, 64].includes(mode)) {
    console.error(`vectors:take: --seed and --count are whole numbers, --mode is 64, 32 or 16\n${USAGE}`);
    return 2;
  }
  const reason = cannotTake();
  if (reason !== undefined) {
    console.error(`vectors:take: ${reason}`);
    return 1;
  }
  const taker = new Taker();
  try {
    const { vectors, unusable } = take({ seed, count, families: values.family, mode: mode as Bits }, taker);
    const text = vectors.map((v) => `${JSON.stringify(v)}\n`).join('');
    writeFileSync(values.output, values.output.endsWith('.gz') ? gzipSync(text) : text);
    console.log(`${vectors.length} vectors in ${values.output}`, unusable);
    return 0;
  } catch (error) {
    console.error(`vectors:take: ${(error as Error).message}`);
    return 1;
  } finally {
    taker.close();
  }
}

if (import.meta.filename === process.argv[1]) process.exitCode = main(process.argv.slice(2));
