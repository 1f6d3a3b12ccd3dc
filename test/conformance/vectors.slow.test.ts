/** Every vector of shared/x86-vectors, with every block boundary. */
import { describe, expect } from 'vitest';
import { sharedFile, testWithImages } from '../support/images.ts';
import { FAMILIES, PENDING } from './families.ts';
import { type Placement, VectorMachine } from './vector-machine.ts';
import { readVectors, runVectors } from './vectors.ts';

const machines = { single: new VectorMachine(1), whole: new VectorMachine(64) };
const ways: readonly (readonly [keyof typeof machines, Placement])[] = [
  ['single', 'alone'],
  ['whole', 'alone'],
  ['single', 'amid'],
  ['whole', 'amid'],
];

describe('all vectors', () => {
  for (const family of FAMILIES) {
    testWithImages(
      family,
      [sharedFile(`x86-vectors/${family}.jsonl.gz`)],
      (file) => {
        const vectors = readVectors(file);
        let passed = 0;
        for (const [machine, placement] of ways) {
          const problems: string[] = [];
          const summary = runVectors(
            vectors,
            machines[machine],
            (v, lines) => problems.push(`${machine} ${placement} ${v.id} ${v.form} ${v.bytes}: ${lines.join('; ')}`),
            placement,
          );
          passed += summary.passed;
          if (PENDING[family] !== undefined) continue;
          expect(problems.slice(0, 20)).toEqual([]);
          expect(summary).toMatchObject({ passed: vectors.length, failed: {}, unsupported: {} });
        }
        if (PENDING[family] === undefined) return;
        expect(passed, `${family} passes: take it out of PENDING`).toBeLessThan(vectors.length * ways.length);
      },
      600_000,
    );
  }
});
