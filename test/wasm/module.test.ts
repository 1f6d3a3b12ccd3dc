import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { f64, i32, i64, ModuleBuilder, v128, zeroOf } from '../../src/wasm/index.ts';
import { type Fn, instantiate } from './harness.ts';
import { readNames } from './names.ts';

const k = i32.const;

describe('functions', () => {
  test('mutual recursion through declarations', () => {
    const b = new ModuleBuilder();
    const even = b.declare('even', ['i32'], ['i32'], { exportAs: 'even' });
    const odd = b.declare('odd', ['i32'], ['i32']);
    b.define(even, (f, n) => f.ifExpr('i32', n, f.call(odd, i32.sub(n, k(1))), k(1)));
    b.define(odd, (f, n) => f.ifExpr('i32', n, f.call(even, i32.sub(n, k(1))), k(0)));
    const { even: run } = instantiate(b.finish()) as Record<string, Fn>;
    expect([run(0), run(7), run(100)]).toEqual([1, 0, 1]);
  });

  test('a function defined while another is', () => {
    const b = new ModuleBuilder();
    b.func(
      'outer',
      ['i32'],
      ['i32'],
      (f, x) => {
        const doubled = f.let(i32.mul(x, k(2)));
        const helper = b.func('helper', ['i32'], ['i32'], (g, y) => {
          const deepest = b.func('deepest', [], ['i32'], () => k(1000));
          return i32.add(y, g.call(deepest));
        });
        return i32.add(doubled, f.call(helper, doubled));
      },
      { exportAs: 'outer' },
    );
    const { outer } = instantiate(b.finish()) as Record<string, Fn>;
    expect(outer(5)).toBe(1020);
  });

  test('several results', () => {
    const b = new ModuleBuilder();
    const divmod = b.func('divmod', ['i32', 'i32'], ['i32', 'i64'], (f, x, y) => {
      f.return(i32.div_u(x, y), i64.extend_i32_u(i32.rem_u(x, y)));
    });
    b.func(
      'run',
      ['i32', 'i32'],
      ['i32'],
      (f, x, y) => {
        const quotient = f.local('i32');
        const remainder = f.local('i64');
        f.callInto([quotient, remainder], divmod, x, y);
        return i32.add(i32.mul(quotient, k(100)), i32.wrap_i64(remainder));
      },
      { exportAs: 'run' },
    );
    const { run } = instantiate(b.finish()) as Record<string, Fn>;
    expect(run(47, 10)).toBe(407);
  });

  test('imports of functions, memory and globals; exports see them', () => {
    const b = new ModuleBuilder();
    const log = b.importFunction('env', 'log', ['i32', 'f64'], []);
    b.importMemory('env', 'memory', 1, 10);
    const base = b.importGlobal('env', 'base', 'i32');
    const count = b.global('i64', true, i64.const(-5), { exportAs: 'count' });
    b.func(
      'run',
      ['i32'],
      [],
      (f, x) => {
        f.do(f.call(log, i32.load(i32.add(f.getGlobal(base), x)), f64.const(0.5)));
        f.setGlobal(count, i64.add(f.getGlobal(count), i64.const(1)));
      },
      { exportAs: 'run' },
    );
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 10 });
    new DataView(memory.buffer).setInt32(104, -77, true);
    const logged: unknown[] = [];
    const exports = instantiate(b.finish(), {
      env: { log: (...all: unknown[]) => logged.push(...all), memory, base: 100 },
    });
    (exports.run as Fn)(4);
    expect(logged).toEqual([-77, 0.5]);
    expect((exports.count as WebAssembly.Global).value).toBe(-4n);
  });

  test('a shared memory is imported as such', () => {
    const b = new ModuleBuilder();
    b.importMemory('env', 'memory', 1, 4, true);
    b.func('run', [], ['i32'], () => i32.load(k(0)), { exportAs: 'run' });
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 4, shared: true });
    expect((instantiate(b.finish(), { env: { memory } }).run as Fn)()).toBe(0);
  });
});

describe('tables', () => {
  const build = () => {
    const b = new ModuleBuilder();
    const shared = b.importTable('env', 'shared', 4);
    const funcs = [10, 20, 30].map((n) => b.func(`f${n}`, ['i32'], ['i32'], (_f, x) => i32.add(x, k(n))));
    const wide = b.func('wide', ['i64'], ['i64'], (_f, x) => x);
    const own = b.table([...funcs, wide], { exportAs: 'own' });
    b.elements(shared, 2, [funcs[1]]);
    for (const [name, table] of [
      ['own', own],
      ['shared', shared],
    ] as const) {
      b.func(`via ${name}`, ['i32', 'i32'], ['i32'], (f, slot, x) => f.callIndirect(table, ['i32'], ['i32'], slot, x), {
        exportAs: `via ${name}`,
      });
    }
    const table = new WebAssembly.Table({ initial: 4, element: 'anyfunc' });
    return { table, exports: instantiate(b.finish(), { env: { shared: table } }) as Record<string, Fn> };
  };

  test('calls by slot, in the own table and an imported one', () => {
    const { exports, table } = build();
    expect([0, 1, 2].map((slot) => exports['via own'](slot, 1))).toEqual([11, 21, 31]);
    expect(exports['via shared'](2, 5)).toBe(25);
    expect((table.get(2) as Fn)(1)).toBe(21);
  });

  test('a wrong type, an empty slot and a slot beyond the table trap', () => {
    const { exports } = build();
    for (const call of [
      () => exports['via own'](3, 1),
      () => exports['via shared'](0, 1),
      () => exports['via own'](4, 1),
    ]) {
      expect(call).toThrow(WebAssembly.RuntimeError);
    }
  });
});

describe('the name section', () => {
  test('functions, parameters, locals, globals; always there', () => {
    const b = new ModuleBuilder();
    b.importFunction('env', 'höst', [], []);
    b.global('i32', false, k(1), { name: 'one' });
    b.global('i32', false, k(2));
    b.func(
      'first',
      ['i32', 'i64'],
      [],
      (f) => {
        f.local('i32');
        f.scope(() => f.local('i64', 'wide'));
        f.scope(() => f.local('i64', 'other name for the same slot'));
      },
      { paramNames: ['addr', ''] },
    );
    b.func('mov r64, imm', [], [], () => {});
    expect(readNames(b.finish())).toEqual({
      functions: { 0: 'höst', 1: 'first', 2: 'mov r64, imm' },
      locals: { 1: { 0: 'addr', 3: 'wide' } },
      globals: { 0: 'one' },
    });
    expect(readNames(new ModuleBuilder().finish())).toEqual({ functions: {}, locals: {}, globals: {} });
  });

  test('a trap shows the name', () => {
    const b = new ModuleBuilder();
    b.func('guilty', [], [], (f) => f.unreachable(), { exportAs: 'run' });
    const { run } = instantiate(b.finish()) as Record<string, Fn>;
    let stack = '';
    try {
      run();
    } catch (error) {
      stack = (error as Error).stack ?? '';
    }
    expect(stack).toContain('guilty');
  });
});

describe('misuse', () => {
  test('declared and never defined; defined twice; not declared here', () => {
    const b = new ModuleBuilder();
    const lost = b.declare('lost', [], []);
    b.declare('also', [], []);
    expect(() => b.finish()).toThrow('declared but never defined: lost, also');
    b.define(lost, () => {});
    expect(() => b.define(lost, () => {})).toThrow('define lost: has a body already');
    expect(() => new ModuleBuilder().define(lost, () => {})).toThrow('define lost: not declared here');
  });

  test('an import that comes too late', () => {
    const b = new ModuleBuilder();
    b.declare('f', [], []);
    b.global('i32', false, k(0));
    b.table([]);
    expect(() => b.importFunction('env', 'late', [], [])).toThrow('importFunction late: comes after the first declare');
    expect(() => b.importGlobal('env', 'late', 'i32')).toThrow('importGlobal late: comes after the first global');
    expect(() => b.importTable('env', 'late', 1)).toThrow('importTable late: comes after the first table');
    expect(() => b.importMemory('env', 'm', 1, undefined, true)).not.toThrow();
    expect(() => b.finish()).toThrow();
  });

  test('globals: wrong type, not constant, not mutable', () => {
    const b = new ModuleBuilder();
    const fixed = b.global('i32', false, k(0), { name: 'fixed' });
    expect(() => b.global('i32', false, i64.const(0) as never)).toThrow(/wants i32, got i64/);
    expect(() => b.global('i32', false, fixed)).toThrow(/not a constant/);
    expect(() => b.func('f', [], [], (f) => f.setGlobal(fixed, k(1)))).toThrow(
      'in function f: global fixed is not mutable',
    );
  });

  test('after a failed definition the builder still works', () => {
    const b = new ModuleBuilder();
    const ref = b.declare('f', [], ['i32'], { exportAs: 'f' });
    expect(() => b.define(ref, (f) => f.br({} as never))).toThrow();
    b.define(ref, () => k(8));
    expect((instantiate(b.finish()).f as Fn)()).toBe(8);
  });

  test('types are checked when compiling', () => {
    // Every line below must be an error to tsc (npm run check), or tsc reports an unused @ts-expect-error.
    new ModuleBuilder().func('f', ['i32', 'i64'], ['i32'], (f, a, b) => {
      const stored = i32.store(a, a);
      f.do(stored);
      const bad: (() => unknown)[] = [
        // @ts-expect-error an i64 is no i32
        () => i32.add(a, b),
        // @ts-expect-error too few operands
        () => i64.store(a),
        // @ts-expect-error a lane index is missing
        () => v128.load8_lane(a, v128.load(a)),
        // @ts-expect-error no such instruction
        () => i64.load64_s(a),
        // @ts-expect-error addresses are i32
        () => i32.load(b),
        // @ts-expect-error the value has another type
        () => f.set(a, b),
        // @ts-expect-error nor does tee convert
        () => f.tee(b, a),
        // @ts-expect-error a store has no value
        () => f.let(stored),
      ];
      for (const build of bad) expect(build).toThrow();
      return a;
    });
  });
});

describe('size', () => {
  test('3000 functions that call one another', () => {
    const b = new ModuleBuilder();
    const refs = Array.from({ length: 3000 }, (_, i) => b.declare(`f${i}`, ['i32'], ['i32'], { exportAs: `f${i}` }));
    [...refs.entries()].reverse().forEach(([i, ref]) => {
      b.define(ref, (f, x) => (i === 2999 ? x : f.call(refs[i + 1], i32.add(x, k(i % 7)))));
    });
    const bytes = b.finish();
    const exports = instantiate(bytes) as Record<string, Fn>;
    const sum = Array.from({ length: 2999 }, (_, i) => i % 7).reduce((a, c) => a + c);
    expect(exports.f0(1)).toBe(sum + 1);
    expect(exports.f2990(0)).toBe(Array.from({ length: 9 }, (_, i) => (2990 + i) % 7).reduce((a, c) => a + c));
    expect(Object.keys(readNames(bytes).functions)).toHaveLength(3000);
  });

  test('a body of more than a megabyte', () => {
    const b = new ModuleBuilder();
    b.memory(1);
    b.func(
      'big',
      [],
      ['i32'],
      (f) => {
        for (let i = 0; i < 120_000; i++) f.do(i32.store(k(i % 1000), i32.add(i32.load(k(i % 1000)), k(1))));
        return i32.load(k(0));
      },
      { exportAs: 'big' },
    );
    const bytes = b.finish();
    expect(bytes.length).toBeGreaterThan(1_000_000);
    expect(WebAssembly.validate(bytes)).toBe(true);
  });
});

test('the example at the top of index.ts runs', async () => {
  const source = await readFile(new URL('../../src/wasm/index.ts', import.meta.url), 'utf8');
  const lines = source.split('\n').filter((line) => line.startsWith(' *     '));
  const code = lines.map((line) => line.slice(7)).join('\n');
  const call = /^exports\.(.*); \/\/ (\d+)$/m.exec(code);
  const body = code.replace(/^import .*$/m, '').replace(call?.[0] ?? '', `return exports.${call?.[1]};`);
  const run = new Function('i32', 'ModuleBuilder', body);
  expect(run(i32, ModuleBuilder)).toBe(Number(call?.[2]));
});

test('zeroOf', () => {
  for (const type of ['i32', 'i64', 'f32', 'f64', 'v128'] as const) expect(zeroOf(type).type).toBe(type);
});
