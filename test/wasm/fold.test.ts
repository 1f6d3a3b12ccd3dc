import { describe, expect, test } from 'vitest';
import { Const, type Expr, i32, i64, type ModuleBuilder } from '../../src/wasm/index.ts';
import { OPCODE_ROWS, type OpcodeRow } from '../../src/wasm/opcodes.ts';
import { integerEdges } from './edges.ts';
import { BITS, construct, load, readBits, store, withMemory, writeBits } from './harness.ts';
import { REFERENCES } from './reference.ts';

const rows = OPCODE_ROWS.filter(({ namespace, immediate }) => /^i(32|64)$/.test(namespace) && immediate === '');
const integerRows = rows.filter((row) => row.operands.every((type) => type === 'i32' || type === 'i64'));
const binary = integerRows.filter((row) => row.operands.length === 2);
const unary = integerRows.filter((row) => row.operands.length === 1);

const constant = (type: string, bits: bigint): Expr => (type === 'i32' ? i32.const(Number(bits)) : i64.const(bits));

/** Which of the operands are constants; the others are loaded. */
const SHAPES = [
  [true, true],
  [true, false],
  [false, true],
];

describe('an operation on constants computes what it does at run time', () => {
  test.each(binary)('$name', (row) => {
    const edges = integerEdges(BITS[row.operands[0]]);
    const cases = edges
      .flatMap((a) => edges.map((b) => [a, b]))
      .filter((pair) => REFERENCES[row.name](pair, 0, []) !== 'trap');
    const { exports, bytes } = withMemory((b: ModuleBuilder) => {
      b.func(
        'run',
        [],
        [],
        (f) => {
          let at = 256;
          for (const pair of cases) {
            for (const [i, bits] of pair.entries()) f.do(store(16 * i, constant(row.operands[i], bits) as Expr<'i32'>));
            for (const shape of SHAPES) {
              const operands = pair.map((bits, i) => {
                return shape[i] ? constant(row.operands[i], bits) : load(row.operands[i], 16 * i);
              });
              f.do(store(at, construct(row, ...operands)));
              at += 8;
            }
          }
        },
        { exportAs: 'run' },
      );
    });
    exports.run();
    cases.forEach((pair, i) => {
      for (const k of SHAPES.keys()) {
        const got = readBits(bytes, 256 + 8 * (3 * i + k), BITS[row.result as 'i32']);
        expect(got, `${row.name}(${pair}) with constants at ${SHAPES[k]}`).toBe(REFERENCES[row.name](pair, 0, []));
      }
    });
  });

  test.each(unary)('$name', (row) => {
    for (const bits of integerEdges(BITS[row.operands[0]])) {
      const { exports, bytes } = withMemory((b) => {
        b.func('run', [], [], (f) => f.do(store(0, construct(row, constant(row.operands[0], bits)))), {
          exportAs: 'run',
        });
      });
      exports.run();
      expect(readBits(bytes, 0, BITS[row.result as 'i32']), `${bits}`).toBe(REFERENCES[row.name]([bits], 0, []));
    }
  });
});

/** The number of bytes of code that a function with this result takes, over that of its parameter alone. */
function cost(type: 'i32' | 'i64', build: (x: Expr<never>) => Expr): number {
  const size = (body: (x: Expr<never>) => Expr) => {
    let length = 0;
    withMemory((b) => {
      b.func('run', [type], [], (f, x) => f.do(store(0, body(x as never) as Expr<'i32'>)));
      length = b.finish().length;
    });
    return length;
  };
  return size(build) - size((x) => x);
}

describe('what folds away', () => {
  const find = (name: string) => OPCODE_ROWS.find((row) => row.name === name) as OpcodeRow;
  const neutral: [string, number][] = [
    ['add', 0],
    ['sub', 0],
    ['or', 0],
    ['xor', 0],
    ['and', -1],
    ['mul', 1],
    ['shl', 0],
    ['shr_s', 0],
    ['shr_u', 64],
    ['rotl', 0],
    ['rotr', 128],
  ];
  test.each(neutral)('x %s %d is x', (name, k) => {
    expect(cost('i32', (x) => construct(find(`i32.${name}`), x, i32.const(k)))).toBe(0);
    expect(cost('i64', (x) => construct(find(`i64.${name}`), x, i64.const(k)))).toBe(0);
  });

  test('two additions of constants become one, and none if they cancel', () => {
    const twice = (a: number, b: number) => cost('i32', (x) => i32.add(i32.add(x, i32.const(a)), i32.const(b)));
    expect(twice(1, 2)).toBe(cost('i32', (x) => i32.add(x, i32.const(3))));
    expect(twice(0x7fffffff, -0x7fffffff)).toBe(0);
  });

  test('widening and narrowing again is nothing', () => {
    expect(cost('i32', (x) => i32.wrap_i64(i64.extend_i32_u(x)))).toBe(0);
    expect(cost('i32', (x) => i32.wrap_i64(i64.extend_i32_s(x)))).toBe(0);
  });

  test('a division that would trap is left in place', () => {
    const { exports } = withMemory((b) => {
      b.func('zero', [], ['i32'], () => i32.div_s(i32.const(1), i32.const(0)), { exportAs: 'zero' });
      b.func('over', [], ['i64'], () => i64.div_s(i64.const(-(1n << 63n)), i64.const(-1)), { exportAs: 'over' });
    });
    expect(() => exports.zero()).toThrow(WebAssembly.RuntimeError);
    expect(() => exports.over()).toThrow(WebAssembly.RuntimeError);
  });

  test('an operand with an effect or a trap stays, though the result is known', () => {
    const { exports, bytes } = withMemory((b) => {
      const bump = b.func('bump', [], ['i32'], (f) => {
        f.do(i32.store(i32.const(0), i32.add(i32.load(i32.const(0)), i32.const(1))));
        return i32.const(5);
      });
      b.func('and', [], ['i32'], (f) => i32.and(f.call(bump), i32.const(0)), { exportAs: 'and' });
      b.func('mul', [], ['i32'], () => i32.mul(i32.const(0), i32.load(i32.const(-1))), { exportAs: 'mul' });
    });
    expect(exports.and()).toBe(0);
    expect(readBits(bytes, 0, 32)).toBe(1n);
    expect(() => exports.mul()).toThrow(WebAssembly.RuntimeError);
  });

  test('constants keep their value as constants', () => {
    const sum = i64.add(i64.const(-1), i64.const(0x7fff_ffff_ffff_ffffn));
    expect(sum instanceof Const && sum.value).toBe(0x7fff_ffff_ffff_fffen);
    const high = i32.shr_u(i32.const(-1), i32.const(0));
    expect(high instanceof Const && high.value).toBe(-1);
  });

  test('select, ifExpr, if and brIf on constants take one side', () => {
    const { exports, bytes } = withMemory((b) => {
      b.func(
        'run',
        ['i32', 'i32'],
        ['i32'],
        (f, x, y) => {
          f.if(
            i32.const(0),
            () => expect.fail('the dead side was built'),
            () => f.do(i32.store8(i32.const(0), i32.const(1))),
          );
          f.if(i32.const(7), (end) => {
            f.brIf(end, i32.const(0));
            f.do(i32.store8(i32.const(1), i32.const(2)));
            f.brIf(end, i32.const(1));
            f.do(i32.store8(i32.const(2), i32.const(3)));
          });
          const lazily = f.ifExpr('i32', i32.const(1), x, f.tee(y, i32.const(99)));
          return i32.add(i32.mul(lazily, i32.const(100)), f.select(x, y, i32.const(0)));
        },
        { exportAs: 'run' },
      );
    });
    expect(exports.run(3, 4)).toBe(304);
    expect([...bytes.slice(0, 3)]).toEqual([1, 2, 0]);
    writeBits(bytes, 0, 0n, 8);
  });
});
