/**
 * Integer vector instructions against recordings of a real processor. The fixture has one recording for every form with
 * registers and one with memory (AVX: the widest only), and some faults of each kind; registers that hold the recorder's
 * usual pattern are left out of it. vector-recorded.slow.test.ts runs all recordings, where they are present.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Vector, VectorMachine } from '../../conformance/vector-machine.ts';
import { loadVectors, vectorFile } from '../softfloat/vectors.ts';

const FAMILIES = ['sse_move', 'sse_int', 'mmx', 'sse4_string', 'aes_clmul', 'sha_gfni'];
const USUAL: Record<string, string> = {
  rax: '0xf0f0f0f0f0f0f0f0',
  rcx: '0x1111111120201111',
  rdx: '0x2222222231312222',
  rbx: '0x3333333342423333',
  rsp: '0x20000800',
  rbp: '0x5555555564645555',
  rsi: '0x6666666675756666',
  rdi: '0x7777777786867777',
  r8: '0x8888888897978888',
  r9: '0x99999999a8a89999',
  r10: '0xaaaaaaaab9b9aaaa',
  r11: '0xbbbbbbbbcacabbbb',
  r12: '0xccccccccdbdbcccc',
  r13: '0xddddddddececdddd',
  r14: '0xeeeeeeeefdfdeeee',
  r15: '0xf0effff',
  rflags: '0xad7',
};

const machine = new VectorMachine();
const failures = (vectors: readonly Vector[]): string[] =>
  vectors.flatMap((v) => {
    const lines = machine.run(v);
    return lines.length === 0 ? [] : [`${v.id} ${v.form} ${v.bytes}: ${lines.join('; ')}`];
  });

const fixture = readFileSync(new URL('fixtures/vector.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => {
    const v = JSON.parse(line) as Vector;
    v.in.regs = { ...USUAL, ...v.in.regs };
    return v;
  });

describe('the fixture', () => {
  test.each([...FAMILIES, 'avx'])('%s agrees in registers, memory, flags, x87 state and exceptions', (family) => {
    const vectors = fixture.filter((v) => v.family === family);
    expect(vectors.length).toBeGreaterThan(20);
    expect(failures(vectors)).toEqual([]);
  });

  test('a wrong expectation is noticed', () => {
    const v = fixture.find((x) => x.exception === null && x.out.xmm !== undefined)!;
    const [n] = Object.keys(v.out.xmm!);
    const wrong = { ...v, out: { ...v.out, xmm: { ...v.out.xmm, [n!]: '123' } } };
    expect(failures([wrong])).toHaveLength(1);
  });
});

describe.each(FAMILIES)('%s', (family) => {
  const file = vectorFile(family);
  const name = 'every 20th recording agrees';
  test.skipIf(!file.present)(file.present ? name : `${name} (${file.reason})`, () => {
    const vectors = loadVectors(file.path, 20) as unknown as Vector[];
    expect(failures(vectors)).toEqual([]);
    expect(vectors.length).toBeGreaterThan(50);
  });
});
