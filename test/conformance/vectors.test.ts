/** A sample of the single-instruction vectors, some 100 of each family, so that everyone runs them. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from '../support/images.ts';
import { FAMILIES, PENDING } from './families.ts';
import { type Placement, VectorMachine } from './vector-machine.ts';
import { readVectors, runVectors } from './vectors.ts';

const sample = readVectors(join(projectRoot, 'test/conformance/vectors-sample.jsonl'));
const ways: readonly (readonly [string, number, Placement])[] = [
  ['one instruction a block', 1, 'alone'],
  ['blocks', 64, 'alone'],
  ['amid single-instruction blocks', 1, 'amid'],
  ['amid whole blocks', 64, 'amid'],
];

describe.each(ways)('%s', (_, maxBlock, placement) => {
  const machine = new VectorMachine(maxBlock);
  it.each(FAMILIES)('%s', (family) => {
    const vectors = sample.filter((v) => v.family === family);
    expect(vectors.length).toBeGreaterThanOrEqual(100);
    const problems: string[] = [];
    const report = (v: { id: string; form: string; bytes: string }, lines: string[]) =>
      problems.push(`${v.id} ${v.form} ${v.bytes}: ${lines.join('; ')}`);
    const summary = runVectors(vectors, machine, report, placement);
    if (PENDING[family] !== undefined) {
      expect(summary.passed, `${family} passes: take it out of PENDING`).toBeLessThan(summary.total);
      return;
    }
    expect(problems).toEqual([]);
    expect(summary).toMatchObject({ passed: vectors.length, failed: {}, unsupported: {} });
  });
});

it('a vector with a wrong result fails', () => {
  const machine = new VectorMachine();
  const vector = structuredClone(sample.find((v) => v.exception === null && v.out.regs?.['rax'] !== undefined)!);
  vector.out.regs!['rax'] = '0x123456789';
  expect(machine.run(vector)).toEqual([expect.stringContaining('want 123456789')]);
  expect(machine.run(vector, 'amid')).toEqual([expect.stringContaining('want 123456789')]);
});
