import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { world } from './raw-client.ts';

describe('transactions', () => {
  const start = () => {
    const w = world();
    w.zero.ask('WRITE', '/a|1');
    w.zero.ask('WRITE', '/b|1');
    return w;
  };
  test('changes show outside only after the end', () => {
    const { zero } = start();
    expect(zero.ask('TRANSACTION_START', '|')).toBe('1|');
    expect(zero.ask('WRITE', '/a|2', 1)).toBe('OK|');
    expect([zero.ask('READ', '/a|'), zero.ask('READ', '/a|', 1)]).toEqual(['1', '2']);
    expect(zero.ask('TRANSACTION_END', 'T|', 1)).toBe('OK|');
    expect(zero.ask('READ', '/a|')).toBe('2');
    expect(zero.ask('READ', '/a|', 1)).toBe('!ENOENT');
  });
  test('aborting leaves everything as it was', () => {
    const { zero, daemon } = start();
    const before = JSON.stringify(daemon.store.save().nodes);
    zero.ask('TRANSACTION_START', '|');
    zero.ask('WRITE', '/x/y|2', 1);
    zero.ask('RM', '/a|', 1);
    expect(zero.ask('DIRECTORY', '/|', 1)).toBe('tool|local|b|x|');
    expect(zero.ask('TRANSACTION_END', 'F|', 1)).toBe('OK|');
    expect(JSON.stringify(daemon.store.save().nodes)).toBe(before);
  });
  test.each<[string, [op: string, payload: string][], [op: string, payload: string][], string]>([
    ['read, then changed outside', [['READ', '/a|']], [['WRITE', '/a|9']], '!EAGAIN'],
    ['read, then removed outside', [['READ', '/a|']], [['RM', '/a|']], '!EAGAIN'],
    ['found missing, then made outside', [['READ', '/n|']], [['WRITE', '/n|9']], '!EAGAIN'],
    ['listed, then a child came outside', [['DIRECTORY', '/|']], [['MKDIR', '/n|']], '!EAGAIN'],
    ['read, then written outside in the same words', [['READ', '/a|']], [['WRITE', '/a|1']], '!EAGAIN'],
    ['permissions changed outside', [['READ', '/a|']], [['SET_PERMS', '/a|n0|']], '!EAGAIN'],
    [
      'other node changed outside',
      [
        ['READ', '/a|'],
        ['WRITE', '/a|2'],
      ],
      [['WRITE', '/b|9']],
      'OK|',
    ],
    ['children made side by side in one parent', [['WRITE', '/tool/p|1']], [['WRITE', '/tool/q|1']], '!EAGAIN'],
    ['nothing done', [], [['WRITE', '/a|9']], 'OK|'],
  ])('%s', (_, inside, outside, verdict) => {
    const { zero, daemon } = start();
    zero.ask('TRANSACTION_START', '|');
    for (const [op, payload] of inside) zero.ask(op, payload, 1);
    for (const [op, payload] of outside) expect(zero.ask(op, payload)).toBe('OK|');
    expect(zero.ask('TRANSACTION_END', 'T|', 1)).toBe(verdict);
    expect(zero.ask('TRANSACTION_END', 'T|', 1)).toBe('!ENOENT');
    expect(daemon.store.check()).toBeUndefined();
  });
  test('of two that collide the first wins', () => {
    const { zero } = start();
    zero.ask('TRANSACTION_START', '|');
    zero.ask('TRANSACTION_START', '|');
    for (const t of [1, 2]) {
      zero.ask('READ', '/a|', t);
      zero.ask('WRITE', `/a|${t + 10}`, t);
    }
    expect(zero.ask('TRANSACTION_END', 'T|', 2)).toBe('OK|');
    expect(zero.ask('TRANSACTION_END', 'T|', 1)).toBe('!EAGAIN');
    expect(zero.ask('READ', '/a|')).toBe('12');
  });
  test('watches fire at the end, once a node', () => {
    const { zero } = start();
    zero.ask('WATCH', '/a|t|');
    zero.take();
    zero.ask('TRANSACTION_START', '|');
    zero.ask('WRITE', '/a|2', 1);
    zero.ask('WRITE', '/a|3', 1);
    zero.ask('WRITE', '/a/c|3', 1);
    expect(zero.take()).toEqual([]);
    zero.ask('TRANSACTION_END', 'T|', 1);
    expect(zero.take()).toEqual(['/a|t|', '/a/c|t|']);
    zero.ask('TRANSACTION_START', '|');
    zero.ask('RM', '/a|', 2);
    zero.ask('TRANSACTION_END', 'T|', 2);
    expect(zero.take()).toEqual(['/a|t|']);
  });
  test('errors', () => {
    const { one, two } = start();
    expect(one.ask('TRANSACTION_START', '|')).toBe('1|');
    expect(one.ask('TRANSACTION_START', '|', 1)).toBe('!EBUSY');
    expect(one.ask('TRANSACTION_END', 'X|', 1)).toBe('!EINVAL');
    expect(one.ask('TRANSACTION_END', 'T|')).toBe('!ENOENT');
    expect(two.ask('READ', 'data|', 1)).toBe('!ENOENT');
    expect(one.ask('READ', 'data|', 5)).toBe('!ENOENT');
    expect(one.ask('WATCH', 'data|t|', 5)).toBe('OK|');
    expect(one.ask('RESET_WATCHES', '|')).toBe('OK|');
    expect(one.ask('TRANSACTION_END', 'T|', 1)).toBe('!ENOENT');
  });
  test('a guest may not touch more than 1024 nodes in one', () => {
    const { one, zero } = start();
    for (let i = 0; i < 1100; i++) zero.ask('WRITE', `/local/domain/1/many/n${i}|1`);
    one.ask('TRANSACTION_START', '|');
    let refused = 0;
    for (let i = 0; i < 1100; i++) if (one.ask('READ', `many/n${i}|`, 1) === '!ENOSPC') refused++;
    expect(refused).toBeGreaterThan(50);
    expect(one.ask('TRANSACTION_END', 'T|', 1)).toBe('!ENOMEM');
  });
  test('the node quota holds across a transaction', () => {
    const { one, daemon } = start();
    for (let t = 1; t <= 2; t++) {
      one.ask('TRANSACTION_START', '|');
      for (let i = 0; i < 600; i++) one.ask('WRITE', `data/t${t}/n${i}|1`, t);
    }
    expect(one.ask('TRANSACTION_END', 'T|', 1)).toBe('OK|');
    expect(['!ENOSPC', '!EAGAIN']).toContain(one.ask('TRANSACTION_END', 'T|', 2));
    expect(daemon.store.owned(1)).toBeLessThanOrEqual(1000);
  });

  test('serial equivalence: what commits read the tree as it was committed to', () => {
    const step = fc.record({ t: fc.nat(3), op: fc.nat(4), key: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { zero, daemon } = start();
        const open = new Map<number, { id: number; read: Map<string, string>; wrote: Map<string, string> }>();
        const model = new Map<string, string>();
        for (const k of '0123') {
          zero.ask('WRITE', `/m/${k}|0`);
          model.set(k, '0');
        }
        let serial = 0;
        for (const { t, op, key } of steps) {
          const k = String(key);
          const tx = open.get(t);
          if (op === 0 && tx === undefined) {
            open.set(t, {
              id: Number(zero.ask('TRANSACTION_START', '|').slice(0, -1)),
              read: new Map(),
              wrote: new Map(),
            });
          } else if (op === 1 && tx !== undefined) {
            const value = zero.ask('READ', `/m/${k}|`, tx.id);
            const expected = tx.wrote.get(k) ?? tx.read.get(k) ?? value;
            expect(value).toBe(expected);
            if (!tx.wrote.has(k)) tx.read.set(k, value);
          } else if (op === 2) {
            const value = String(++serial);
            zero.ask('WRITE', `/m/${k}|${value}`, tx?.id ?? 0);
            (tx?.wrote ?? model).set(k, value);
          } else if (op === 3 && tx !== undefined) {
            open.delete(t);
            if (zero.ask('TRANSACTION_END', 'T|', tx.id) !== 'OK|') continue;
            for (const [kk, v] of tx.read) expect(model.get(kk)).toBe(v);
            for (const [kk, v] of tx.wrote) model.set(kk, v);
          }
          for (const [kk, v] of model) expect(zero.ask('READ', `/m/${kk}|`)).toBe(v);
        }
        expect(daemon.store.check()).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });
});
