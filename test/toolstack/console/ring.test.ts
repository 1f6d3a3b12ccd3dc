import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConsoleRing, MAX_WAITING_INPUT } from '../../../src/toolstack/console/ring.ts';
import { FakeTarget } from '../fake-target.ts';

const GFN = 3;
const BASE = GFN * 4096;

function guest() {
  const target = new FakeTarget(1);
  target.populate(GFN, 1);
  const m = target.memory;
  const out: number[] = [];
  let notified = 0;
  const ring = new ConsoleRing(
    m,
    GFN,
    () => notified++,
    (b) => out.push(...b),
  );
  /** The guest prints as much as fits. */
  const print = (bytes: Uint8Array): number => {
    const [cons, prod] = [m.readU32(BASE + 3080), m.readU32(BASE + 3084)];
    const n = Math.min(bytes.length, 2048 - ((prod - cons) >>> 0));
    for (let i = 0; i < n; i++) m.write(BASE + 1024 + ((prod + i) % 2048), bytes.subarray(i, i + 1));
    m.writeU32(BASE + 3084, (prod + n) >>> 0);
    return n;
  };
  const type = (most: number): number[] => {
    const got: number[] = [];
    while (got.length < most) {
      const [cons, prod] = [m.readU32(BASE + 3072), m.readU32(BASE + 3076)];
      if (cons === prod) break;
      got.push(m.read(BASE + (cons % 1024), 1)[0]!);
      m.writeU32(BASE + 3072, (cons + 1) >>> 0);
    }
    return got;
  };
  return { m, target, ring, out, print, type, notified: () => notified };
}

describe('console ring', () => {
  test('output in order, over the ring’s end', () => {
    const g = guest();
    for (const at of [3080, 3084]) g.m.writeU32(BASE + at, 0xffffff00);
    const text = Uint8Array.from({ length: 5000 }, (_, i) => i);
    for (let at = 0; at < text.length; ) {
      at += g.print(text.subarray(at));
      g.ring.run();
    }
    expect(g.out).toEqual([...text]);
    expect(g.notified()).toBeGreaterThanOrEqual(3);
    const before = g.notified();
    g.ring.run();
    expect(g.notified()).toBe(before);
  });
  test('input waits until the guest has room', () => {
    const g = guest();
    const keys = Uint8Array.from({ length: 3000 }, (_, i) => i * 3);
    expect(g.ring.input(keys)).toBe(3000);
    expect(g.ring.waitingInput).toBe(3000 - 1024);
    const got = g.type(10_000);
    while (g.ring.waitingInput > 0) {
      g.ring.run();
      got.push(...g.type(700));
      g.ring.run();
    }
    got.push(...g.type(10_000));
    expect(got).toEqual([...keys]);
  });
  test('input beyond the limit is refused, not kept', () => {
    const g = guest();
    g.ring.input(new Uint8Array(MAX_WAITING_INPUT));
    expect(g.ring.input(new Uint8Array(5000))).toBe(1024);
    expect(g.ring.waitingInput).toBe(MAX_WAITING_INPUT);
  });
  test('nonsense indexes and a page given away give neither output nor an error', () => {
    const g = guest();
    g.m.writeU32(BASE + 3084, 4000);
    g.m.writeU32(BASE + 3076, 9999);
    g.ring.input(Uint8Array.of(1));
    g.ring.run();
    expect(g.out).toEqual([]);
    g.m.p2m.set(GFN, 0, 0);
    g.ring.run();
    g.ring.input(Uint8Array.of(1));
  });
  test('whatever the indexes say, a visit moves at most a ring', () => {
    const u32 = fc.oneof(fc.nat(4000), fc.integer({ min: 0xfffff000, max: 0xffffffff }));
    fc.assert(
      fc.property(u32, u32, u32, u32, (a, b, c, d) => {
        const g = guest();
        for (const [i, v] of [a, b, c, d].entries()) g.m.writeU32(BASE + 3072 + 4 * i, v);
        g.ring.input(new Uint8Array(2000));
        g.ring.run();
        expect(g.out.length).toBeLessThanOrEqual(2048);
        expect(g.ring.waitingInput).toBeGreaterThanOrEqual(2000 - 1024);
      }),
    );
  });
});
