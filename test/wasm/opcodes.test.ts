import { describe, expect, test } from 'vitest';
import { OPCODE_ROWS, type OpcodeRow } from '../../src/wasm/opcodes.ts';
import { operandCases } from './edges.ts';
import { BITS, construct, type Fn, load, readBits, store, trapped, withMemory, writeBits } from './harness.ts';
import { MEMORY_REFERENCES } from './memory-reference.ts';
import { REFERENCES } from './lane-reference.ts';
import { isNaNBits, split } from './reference.ts';

const OPERANDS = [0, 16, 32];
const RESULT = 64;
const SHUFFLES = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16],
  [0, 16, 31, 15, 1, 17, 2, 30, 3, 3, 3, 31, 31, 8, 24, 0],
];

const computing = OPCODE_ROWS.filter((row) => ['', 'lane', 'shuffle'].includes(row.immediate));
const touching = OPCODE_ROWS.filter((row) => ['mem', 'memlane'].includes(row.immediate));

/** Results that are some NaN, whichever: arithmetic may pick payload and sign (core specification 4.3.3). */
function nanWidth(row: OpcodeRow): number {
  if (/abs|neg|copysign|pmin|pmax|lane|splat|reinterpret|shuffle/.test(row.method)) return 0;
  if (row.result === 'f32' || (row.result === 'v128' && row.namespace === 'f32x4')) return 32;
  return row.result === 'f64' || (row.result === 'v128' && row.namespace === 'f64x2') ? 64 : 0;
}

function same(got: bigint, wanted: bigint, nan: number): boolean {
  if (got === wanted) return true;
  if (nan === 0) return false;
  const wantedLanes = split(wanted, nan);
  return split(got, nan).every((lane, i) => {
    return lane === wantedLanes[i] || (isNaNBits(lane, nan) && isNaNBits(wantedLanes[i], nan));
  });
}

/** Where two memories differ first, or -1. (Comparing 64 KiB by `toEqual` takes a quarter of a second.) */
function firstDifference(got: Uint8Array, wanted: Uint8Array): number {
  return Buffer.compare(got, wanted) === 0 ? -1 : got.findIndex((byte, i) => byte !== wanted[i]);
}

interface Variant {
  readonly lane: number;
  readonly lanes: readonly number[];
  readonly immediates: readonly unknown[];
}

function variants(row: OpcodeRow): Variant[] {
  if (row.immediate === 'lane') {
    return Array.from({ length: row.size }, (_, lane) => ({ lane, lanes: [], immediates: [lane] }));
  }
  if (row.immediate === 'shuffle') return SHUFFLES.map((lanes) => ({ lane: 0, lanes, immediates: [lanes] }));
  return [{ lane: 0, lanes: [], immediates: [] }];
}

function runRow(row: OpcodeRow): number {
  const reference = REFERENCES[row.name];
  const all = variants(row);
  const { exports, bytes } = withMemory((b) => {
    all.forEach(({ immediates }, i) => {
      const operands = row.operands.map((type, k) => load(type, OPERANDS[k]));
      b.func(`run${i}`, [], [], (f) => f.do(store(RESULT, construct(row, ...operands, ...immediates))), {
        exportAs: `run${i}`,
      });
    });
  });
  const nan = nanWidth(row);
  const width = BITS[row.result as keyof typeof BITS];
  let runs = 0;
  all.forEach(({ lane, lanes }, i) => {
    for (const args of operandCases(row.namespace, row.operands)) {
      args.forEach((value, k) => {
        writeBits(bytes, OPERANDS[k], value, BITS[row.operands[k]]);
      });
      const wanted = reference(args, lane, lanes);
      const got = trapped(() => exports[`run${i}`]()) ? 'trap' : readBits(bytes, RESULT, width);
      runs++;
      const fine = got === wanted || (got !== 'trap' && wanted !== 'trap' && same(got, wanted, nan));
      if (!fine) {
        const hex = (value: bigint | 'trap') => (value === 'trap' ? value : `0x${value.toString(16)}`);
        expect.fail(`${row.name}(${args.map(hex)}) variant ${i}: got ${hex(got)}, wanted ${hex(wanted)}`);
      }
    }
  });
  return runs;
}

test('every row of the table has a test, and every test a row', () => {
  const names = OPCODE_ROWS.map((row) => row.name);
  expect(new Set(names).size).toBe(names.length);
  const manual = ['memory.size', 'memory.grow', 'memory.copy', 'memory.fill'];
  const tested = [...Object.keys(REFERENCES), ...Object.keys(MEMORY_REFERENCES), ...manual];
  expect(tested.sort()).toEqual(names.sort());
});

test('opcodes are unique', () => {
  const codes = OPCODE_ROWS.map((row) => row.code);
  expect(new Set(codes).size).toBe(codes.length);
});

describe('instructions that compute, at the edges', () => {
  test.each(computing)('$name', (row) => {
    expect(runRow(row)).toBeGreaterThan(10);
  });
});

describe('loads and stores', () => {
  const BASE = 256;
  const VALUE = 0;
  test.each(touching)('$name', (row) => {
    const reference = MEMORY_REFERENCES[row.name];
    const size = row.immediate === 'memlane' ? 16 >> row.size : 1;
    const valueType = row.operands[1];
    for (let lane = 0; lane < size; lane++) {
      for (const offset of [0, 1, 7, 128, 1000]) {
        const { exports, bytes } = withMemory((b) => {
          b.func(
            'run',
            ['i32'],
            [],
            (f, address) => {
              const value = valueType === undefined ? [] : [load(valueType, VALUE)];
              const laneIndex = row.immediate === 'memlane' ? [lane] : [];
              const op = construct(row, address, ...value, ...laneIndex, offset);
              f.do(op.type === 'void' ? op : store(RESULT, op));
            },
            { exportAs: 'run' },
          );
        });
        for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 167 + (i >> 3) * 29 + 0x7d) & 0xff;
        const value = readBits(bytes, VALUE, valueType === undefined ? 8 : BITS[valueType]);
        const before = bytes.slice();
        const { result, memory } = reference(before.slice(BASE + offset), value, lane);
        exports.run(BASE);
        if (row.result === 'void') before.set(memory ?? [], BASE + offset);
        else writeBits(before, RESULT, result ?? -1n, BITS[row.result]);
        expect(firstDifference(bytes, before), `lane ${lane} offset ${offset}`).toBe(-1);
      }
    }
  });

  test.each(touching)('$name traps beyond the memory by one byte', (row) => {
    const { exports } = withMemory((b) => {
      b.func(
        'run',
        ['i32'],
        [],
        (f, address) => {
          const value = row.operands[1] === undefined ? [] : [load(row.operands[1], 0)];
          f.do(construct(row, address, ...value, ...(row.immediate === 'memlane' ? [0] : [])));
        },
        { exportAs: 'run' },
      );
    });
    const touched = MEMORY_REFERENCES[row.name].bytes;
    expect(trapped(() => exports.run(65536 - touched))).toBe(false);
    expect(trapped(() => exports.run(65536 - touched + 1))).toBe(true);
  });
});

describe('memory', () => {
  const row = (name: string) => OPCODE_ROWS.find((candidate) => candidate.name === name) as OpcodeRow;
  const three = (name: string): { run: Fn; bytes: Uint8Array } => {
    const { exports, bytes } = withMemory((b) => {
      b.func('run', ['i32', 'i32', 'i32'], [], (f, x, y, z) => f.do(construct(row(name), x, y, z)), {
        exportAs: 'run',
      });
    });
    return { run: exports.run, bytes };
  };

  test('size and grow', () => {
    const { exports } = withMemory((b) => {
      b.func('size', [], ['i32'], () => construct(row('memory.size')) as never, { exportAs: 'size' });
      b.func('grow', ['i32'], ['i32'], (_f, by) => construct(row('memory.grow'), by) as never, { exportAs: 'grow' });
    });
    expect([exports.size(), exports.grow(2), exports.size(), exports.grow(2), exports.size()]).toEqual([
      1, 1, 3, -1, 3,
    ]);
  });

  test('copy, overlapping either way', () => {
    for (const [to, from] of [
      [4, 0],
      [0, 4],
      [100, 3],
    ]) {
      const { run, bytes } = three('memory.copy');
      for (let i = 0; i < 200; i++) bytes[i] = i + 1;
      const wanted = bytes.slice();
      wanted.copyWithin(to, from, from + 50);
      run(to, from, 50);
      expect(firstDifference(bytes, wanted)).toBe(-1);
      expect(trapped(() => run(65536 - 49, 0, 50))).toBe(true);
    }
  });

  test('fill with the low byte', () => {
    const { run, bytes } = three('memory.fill');
    run(10, 0x1ab, 5);
    expect([...bytes.slice(9, 16)]).toEqual([0, 0xab, 0xab, 0xab, 0xab, 0xab, 0]);
    expect(trapped(() => run(65536, 0, 1))).toBe(true);
  });
});
