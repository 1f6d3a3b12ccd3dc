import { describe, expect, test } from 'vitest';
import {
  type Expr,
  f64,
  type FunctionBuilder,
  i32,
  i64,
  type Label,
  type Local,
  memory,
  ModuleBuilder,
} from '../../src/wasm/index.ts';
import { type Fn, instantiate } from './harness.ts';

/** A module of one exported function `run`. */
function one(params: readonly ('i32' | 'i64')[], body: (f: FunctionBuilder, ...p: Local<'i32'>[]) => unknown): Fn {
  const b = new ModuleBuilder();
  b.func('run', params, ['i32'], (f, ...p) => body(f, ...(p as Local<'i32'>[])) as Expr<'i32'>, { exportAs: 'run' });
  return instantiate(b.finish()).run as Fn;
}

const k = i32.const;

describe('control flow', () => {
  test('a loop with a way out', () => {
    const run = one(['i32'], (f, n) => {
      const sum = f.let(k(0));
      f.block((done) => {
        f.loop((again) => {
          f.brIf(done, i32.eqz(n));
          f.set(sum, i32.add(sum, n));
          f.set(n, i32.sub(n, k(1)));
          f.br(again);
        });
      });
      return sum;
    });
    expect([run(0), run(1), run(100)]).toEqual([0, 1, 5050]);
  });

  test('labels reach over any number of blocks, from if and else as well', () => {
    const run = one(['i32'], (f, x) => {
      const path = f.let(k(0));
      const mark = (digit: number) => f.set(path, i32.add(i32.mul(path, k(10)), k(digit)));
      f.block((outer) => {
        f.block((middle) => {
          f.if(
            i32.eq(x, k(0)),
            (own) => {
              mark(1);
              f.brIf(own, k(1));
              mark(9);
            },
            () => {
              f.block(() => {
                f.if(i32.eq(x, k(1)), () => f.br(middle));
                f.if(i32.eq(x, k(2)), () => f.br(outer));
              });
              mark(2);
            },
          );
          mark(3);
        });
        mark(4);
      });
      mark(5);
      return path;
    });
    expect([run(0), run(1), run(2), run(3)]).toEqual([1345, 45, 5, 2345]);
  });

  test('ifExpr computes one side, select both', () => {
    const b = new ModuleBuilder();
    const calls: number[] = [];
    const trace = b.importFunction('env', 'trace', ['i32'], ['i32']);
    for (const kind of ['ifExpr', 'select'] as const) {
      b.func(
        kind,
        ['i32'],
        ['i32'],
        (f, x) => {
          const [yes, no] = [f.call(trace, k(1)), f.call(trace, k(2))];
          return kind === 'select' ? f.select(yes, no, x) : f.ifExpr('i32', x, yes, no);
        },
        { exportAs: kind },
      );
    }
    const exports = instantiate(b.finish(), { env: { trace: (x: number) => calls.push(x) && x * 11 } });
    expect([(exports.ifExpr as Fn)(5), (exports.ifExpr as Fn)(0)]).toEqual([11, 22]);
    expect(calls).toEqual([1, 2]);
    expect([(exports.select as Fn)(5), (exports.select as Fn)(0)]).toEqual([11, 22]);
    expect(calls).toEqual([1, 2, 1, 2, 1, 2]);
  });

  test('brTable: each label, then the default, with an unsigned index', () => {
    const run = one(['i32'], (f, x) => {
      const out = f.let(k(99));
      f.block((c) => {
        f.block((b) => {
          f.block((a) => {
            f.brTable(x, [a, b, a], c);
          });
          f.set(out, k(1));
          f.br(c);
        });
        f.set(out, k(2));
      });
      return out;
    });
    expect([0, 1, 2, 3, -1].map((x) => run(x))).toEqual([1, 2, 1, 99, 99]);
  });

  test('a brTable of 3000 entries and 600 blocks in one another', () => {
    const run = one(['i32'], (f, x) => {
      const out = f.let(k(0));
      const nest = (depth: number, labels: Label[]): void => {
        if (depth === 600)
          f.brTable(
            x,
            Array.from({ length: 3000 }, (_, i) => labels[i % 600]),
            labels[0],
          );
        else {
          f.block((label) => nest(depth + 1, [...labels, label]));
          f.set(out, i32.add(out, k(1)));
        }
      };
      nest(0, []);
      return out;
    });
    // A branch to the label at depth d runs the additions after it: one for itself and one for each around it.
    expect([0, 1, 599, 600, 2999, 5000].map((x) => run(x))).toEqual([1, 2, 600, 1, 600, 1]);
  });

  test('switch over 3000 arms: no recursion, a scope each, a label for the end', () => {
    const run = one(['i32'], (f, x) => {
      const out = f.local('i32');
      const arms = Array.from({ length: 3000 }, (_, i) => (end: Label) => {
        const mine = f.let(k(i * 2));
        f.set(out, mine);
        if (i === 7) {
          f.br(end);
          f.set(out, k(-7));
        }
      });
      f.switch(x, arms, () => f.set(out, k(-1)));
      return out;
    });
    expect([0, 1, 7, 2999, 3000, -1].map((x) => run(x))).toEqual([0, 2, 14, 5998, -1, -1]);
  });

  test('return, unreachable and a missing return', () => {
    const run = one(['i32'], (f, x) => {
      f.if(i32.eq(x, k(1)), () => f.return(k(10)));
      f.if(i32.eq(x, k(2)), () => f.unreachable());
    });
    expect(run(1)).toBe(10);
    expect(() => run(2)).toThrow(WebAssembly.RuntimeError);
    expect(() => run(3)).toThrow(WebAssembly.RuntimeError);
  });
});

describe('locals', () => {
  test('let computes once, an expression used twice twice', () => {
    const b = new ModuleBuilder();
    let calls = 0;
    const next = b.importFunction('env', 'next', [], ['i32']);
    b.func(
      'run',
      [],
      ['i32'],
      (f) => {
        const once = f.let(f.call(next));
        const twice = f.call(next);
        return i32.add(i32.mul(i32.add(once, once), k(100)), i32.add(twice, twice));
      },
      { exportAs: 'run' },
    );
    const exports = instantiate(b.finish(), { env: { next: () => ++calls } });
    expect((exports.run as Fn)()).toBe(205);
    expect(calls).toBe(3);
  });

  test('value keeps a constant and stores the rest', () => {
    one(['i32'], (f, x) => {
      const constant: Expr<'i32'> = k(4);
      expect(f.value(constant)).toBe(constant);
      expect(f.value(x)).not.toBe(x);
      return x;
    });
  });

  test('tee assigns and yields', () => {
    const run = one(['i32'], (f, x) => i32.add(f.tee(x, i32.mul(x, k(3))), x));
    expect(run(7)).toBe(42);
  });

  test('slots of a scope are used again by type, and never while alive', () => {
    const slots: number[] = [];
    const run = one(['i32'], (f, x) => {
      const kept = f.let(i32.add(x, k(1)));
      for (let i = 0; i < 3; i++) {
        f.scope(() => {
          const a = f.let(i32.mul(kept, k(2)));
          const wide = f.let(i64.extend_i32_s(a));
          const inner = f.scope(() => f.let(f64.convert_i32_s(a)).index);
          const again = f.local('f64');
          expect(again.index).toBe(inner);
          slots.push(a.index, wide.index);
          f.set(kept, i32.wrap_i64(i64.add(wide, i64.const(1))));
        });
      }
      expect(f.local('i32').index).toBe(slots[0]);
      return kept;
    });
    expect(slots).toEqual([slots[0], slots[1], slots[0], slots[1], slots[0], slots[1]]);
    expect(new Set([0, 1, slots[0], slots[1]]).size).toBe(4);
    expect(run(0)).toBe(15);
  });

  test('a scope frees its locals when it throws', () => {
    one(['i32'], (f, x) => {
      let index = -1;
      expect(() =>
        f.scope(() => {
          index = f.local('i64').index;
          throw new Error('no');
        }),
      ).toThrow('no');
      expect(f.local('i64').index).toBe(index);
      return x;
    });
  });

  test('300 locals of mixed types keep their values apart', () => {
    const run = one(['i32'], (f, x) => {
      const all = Array.from({ length: 300 }, (_, i) => {
        return i % 3 === 0 ? f.let(i64.extend_i32_s(i32.add(x, k(i)))) : f.let(i32.add(x, k(i)));
      });
      const wrong = f.let(k(0));
      all.forEach((local, i) => {
        const narrow = local.type === 'i64' ? i32.wrap_i64(local as Local<'i64'>) : (local as Local<'i32'>);
        f.set(wrong, i32.or(wrong, i32.sub(narrow, i32.add(x, k(i)))));
      });
      return wrong;
    });
    expect(run(1234)).toBe(0);
  });
});

describe('misuse is an error that names the function', () => {
  const fails = (body: (f: FunctionBuilder, x: Local<'i32'>, other: Local<'i32'>) => unknown, message: RegExp) => {
    const b = new ModuleBuilder();
    let foreign: Local<'i32'> | undefined;
    b.func('other', ['i32'], [], (_f, x) => {
      foreign = x;
    });
    const build = () =>
      b.func('culprit', ['i32'], ['i32'], (f, x) => body(f, x, foreign as Local<'i32'>) as Expr<'i32'>);
    expect(build).toThrow(message);
    expect(build).toThrow(/^in function culprit: /);
  };
  const wide = i64.const(1) as Expr as Expr<'i32'>;

  test.each<[string, (f: FunctionBuilder, x: Local<'i32'>, other: Local<'i32'>) => unknown, RegExp]>([
    ['operand type', (_f, x) => i32.add(x, wide), /i32.add: wants i32, got i64/],
    ['address type', (_f) => i32.load(wide), /i32.load: wants i32, got i64/],
    ['missing operand', (_f, x) => (i32.add as Fn)(x) as Expr, /i32.add: wants i32, got undefined/],
    ['extra operand', (_f, x) => (memory.grow as Fn)(x, x) as Expr, /memory.grow: 2 arguments instead of 1/],
    ['set', (f, x) => f.set(x, wide), /set of local 0: wants i32, got i64/],
    ['tee', (f, x) => f.tee(x, wide), /wants i32, got i64/],
    ['condition', (f) => f.if(wide, () => {}), /if: wants i32, got i64/],
    ['brIf condition', (f) => f.block((end) => f.brIf(end, wide)), /brIf: wants i32, got i64/],
    ['sides', (f, x) => f.ifExpr('i32', x, x, wide), /ifExpr: wants i32, got i64/],
    ['result', () => i64.const(1), /result, value 0: wants i32, got i64/],
    ['return type', (f) => f.return(i64.const(1)), /return, value 0: wants i32, got i64/],
    ['return count', (f) => f.return(), /return: wants 1 values, got 0/],
    ['argument count', (f) => (f.call as Fn)(f.ref) as Expr, /call of culprit: wants 1 values, got 0/],
    ['argument type', (f) => f.do(f.call(f.ref, wide)), /call of culprit, value 0: wants i32, got i64/],
    ['parameter', (f) => f.param(1), /there is no parameter 1/],
    ['parameter type', (f) => f.param(0, 'i64'), /parameter 0: wants i64, got i32/],
    ['foreign local', (_f, _x, other) => other, /belongs to another function/],
    ['dead local', (f) => f.scope(() => f.local('i32', 'gone')), /local gone is used after its scope has ended/],
    ['offset', (_f, x) => i32.load(x, -1), /i32.load: offset -1 is not a u32/],
    ['let of nothing', (f, x) => void f.let(i32.store(x, x) as Expr as Expr<'i32'>), /let: i32.store has no value/],
    ['lost store', (_f, x) => void i32.store(x, x), /i32.store was built but never taken/],
    ['lost call', (f, x) => void f.call(f.ref, x), /call of culprit was built but never taken/],
  ])('%s', (_what, body, message) => fails(body, message));

  test('a label after its block, or of another function', () => {
    let kept: Label | undefined;
    fails((f) => {
      f.block((label) => {
        kept = label;
      });
      f.br(kept as Label);
    }, /branch to a label that is out of scope/);
    const b = new ModuleBuilder();
    const outer = b.declare('outer', [], []);
    expect(() => b.define(outer, (f) => f.block((label) => void b.func('inner', [], [], (g) => g.br(label))))).toThrow(
      /^in function inner: branch to a label of another function/,
    );
  });

  test('strictUse refuses an effect that is taken twice', () => {
    const build = (strictUse: boolean) => {
      new ModuleBuilder({ strictUse }).func('twice', ['i32'], [], (f, x) => {
        const effect = f.tee(x, k(1));
        f.do(effect);
        f.do(effect);
      });
    };
    expect(() => build(false)).not.toThrow();
    expect(() => build(true)).toThrow('in function twice: tee of local 0 was taken 2 times');
  });
});
