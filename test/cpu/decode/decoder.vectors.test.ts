/**
 * Vectors taken on silicon: the decoder finds the length, the name, the #UD and the place where the fetch faults.
 * The sample beside this file has one vector a form; the whole set is read where a checkout has it next to it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Instruction } from '../../../src/cpu/decode/instruction.ts';
import { Decoder } from '../../../src/cpu/decoder.ts';
import { type DecodeVector, expectedResult, matchesForm } from './vector-forms.ts';

const decoder = new Decoder();
const out = new Instruction();

function problem(vector: DecodeVector): string | null {
  const bytes = Buffer.from(vector.bytes, 'hex');
  // As on silicon: zeros follow up to the end of the page, where the next one is missing.
  const page = new Uint8Array(0x1000);
  const offset = Number(vector.rip) & 0xfff;
  page.set(bytes, offset);
  const result = decoder.decode(page, offset, page.length, 64, out);
  const wanted = expectedResult(vector);
  if (result !== wanted) return `${vector.form}: ${vector.bytes}: ${result}, wanted ${wanted}`;
  if (result !== 'ok') return null;
  if (out.length !== bytes.length) return `${vector.form}: ${vector.bytes}: length ${out.length}`;
  return matchesForm(vector.form, out) ? null : `${vector.form}: ${vector.bytes}: ${out.row.mnemonic}`;
}

function problems(lines: readonly string[]): string[] {
  return lines.map((line) => problem(JSON.parse(line) as DecodeVector)).filter((text) => text !== null);
}

describe('decoder against vectors', () => {
  it('decodes the sample', () => {
    const lines = readFileSync(new URL('./vectors-sample.jsonl', import.meta.url), 'utf8')
      .trim()
      .split('\n');
    expect(lines.length).toBeGreaterThan(1800);
    expect(problems(lines)).toEqual([]);
  });

  const folder = new URL('../../../../shared/x86-vectors/', import.meta.url);
  it.skipIf(!existsSync(folder))(
    'decodes every vector in ../shared/x86-vectors',
    () => {
      const files = readdirSync(folder).filter((file) => file.endsWith('.jsonl.gz'));
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) {
        const text = gunzipSync(readFileSync(new URL(file, folder))).toString();
        expect(problems(text.trim().split('\n')).slice(0, 10)).toEqual([]);
      }
    },
    180_000,
  );
});
