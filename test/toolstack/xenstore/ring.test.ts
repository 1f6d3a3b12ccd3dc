import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DomainClient } from '../../../src/toolstack/xenstore/domain-client.ts';
import { StoreRing } from '../../../src/toolstack/xenstore/ring.ts';
import {
  bytesOf,
  encodeMessage,
  HEADER_BYTES,
  latin1,
  type Message,
  MessageAssembler,
  Xs,
} from '../../../src/toolstack/xenstore/wire.ts';
import { FakeTarget } from '../fake-target.ts';
import { world } from './raw-client.ts';

const GFN = 5;
const BASE = GFN * 4096;

/** A guest's side of the ring: writes requests as it likes, reads responses as it likes. */
function guest() {
  const w = world();
  const target = new FakeTarget(1);
  target.populate(GFN, 1);
  let notified = 0;
  const client = new DomainClient(w.daemon, 1, new StoreRing(target.memory, GFN), () => notified++);
  const m = target.memory;
  const assembler = new MessageAssembler();
  const send = (bytes: Uint8Array): number => {
    const [cons, prod] = [m.readU32(BASE + 2048), m.readU32(BASE + 2052)];
    const n = Math.min(bytes.length, 1024 - ((prod - cons) >>> 0));
    for (let i = 0; i < n; i++) m.write(BASE + ((prod + i) % 1024), bytes.subarray(i, i + 1));
    m.writeU32(BASE + 2052, (prod + n) >>> 0);
    return n;
  };
  const receive = (most = 1024): Message[] => {
    const messages: Message[] = [];
    for (let left = most; left > 0; left--) {
      const [cons, prod] = [m.readU32(BASE + 2056), m.readU32(BASE + 2060)];
      if (cons === prod) break;
      const message = assembler.push(m.read(BASE + 1024 + (cons % 1024), 1));
      m.writeU32(BASE + 2056, (cons + 1) >>> 0);
      if (message) messages.push(message);
    }
    return messages;
  };
  /** Sends a whole request through however many visits it takes, and reads until its reply is there. */
  const ask = (type: number, payload: string, requestId = 1): string[] => {
    const bytes = encodeMessage({ type, requestId, transaction: 0, payload: bytesOf(payload.replaceAll('|', '\0')) });
    const got: string[] = [];
    for (let at = 0, visits = 0; visits < 50; visits++) {
      at += send(bytes.subarray(at));
      client.run();
      for (const r of receive()) got.push(`${r.type}:${latin1(r.payload).replaceAll('\0', '|')}`);
      if (at === bytes.length && got.some((g) => !g.startsWith('15:'))) break;
    }
    return got;
  };
  return { ...w, target, m, client, send, receive, ask, notified: () => notified };
}

describe('the store through a ring', () => {
  test('requests, replies and events; values larger than the ring', () => {
    const g = guest();
    expect(g.ask(Xs.WATCH, 'data|tok|')).toEqual(['4:OK|', '15:data|tok|']);
    const value = 'v'.repeat(1900);
    expect(g.ask(Xs.WRITE, `data/x|${value}`)).toEqual(['15:data/x|tok|', '11:OK|']);
    expect(g.ask(Xs.READ, 'data/x|')).toEqual([`2:${value}`]);
    g.m.writeU32(BASE + 2056, g.m.readU32(BASE + 2060));
    expect(g.notified()).toBeGreaterThan(3);
  });
  test('indexes wrap at 2^32', () => {
    const g = guest();
    for (const at of [2048, 2052, 2056, 2060]) g.m.writeU32(BASE + at, 0xfffffff0);
    expect(g.ask(Xs.WRITE, 'data/x|abc')).toEqual(['11:OK|']);
    expect(g.m.readU32(BASE + 2048)).toBeLessThan(100);
    expect(g.ask(Xs.READ, 'data/x|')).toEqual(['2:abc']);
  });
  test('events from elsewhere arrive without the guest asking', () => {
    const g = guest();
    g.ask(Xs.WATCH, 'data|t|');
    const before = g.notified();
    g.zero.ask('WRITE', '/local/domain/1/data/y|1');
    expect(g.notified()).toBe(before + 1);
    expect(g.receive().map((r) => latin1(r.payload))).toEqual(['data/y\0t\0']);
  });
  test('a guest that never reads gets each unread event once, and its requests wait', () => {
    const g = guest();
    g.ask(Xs.WATCH, 'data|t|');
    for (let i = 0; i < 5000; i++) g.zero.ask('WRITE', '/local/domain/1/data/same|1');
    expect(g.client.save().output.length).toBeLessThan(3);
    const read = encodeMessage({ type: Xs.READ, requestId: 1, transaction: 0, payload: bytesOf('data\0') });
    for (let i = 0; i < 500; i++) {
      g.send(read);
      g.client.run();
    }
    expect(g.client.save().output.length).toBeLessThanOrEqual(21);
    let replies = 0;
    for (let i = 0; i < 500; i++) {
      replies += g.receive().filter((r) => r.type === Xs.READ).length;
      g.client.run();
    }
    expect(replies).toBeGreaterThan(30);
  });
  test.each<[string, (g: ReturnType<typeof guest>) => void, number]>([
    ['too long a payload', (g) => g.send(new Uint8Array(new Uint32Array([Xs.READ, 0, 0, 4097]).buffer)), 3],
    ['request indexes too far apart', (g) => g.m.writeU32(BASE + 2052, 5000), 2],
    [
      'response indexes too far apart',
      (g) => {
        g.m.writeU32(BASE + 2060, 5000);
        g.send(encodeMessage({ type: 2, requestId: 0, transaction: 0, payload: bytesOf('data\0') }));
      },
      2,
    ],
  ])('%s: the connection is ignored and the ring says why', (_, breakIt, error) => {
    const g = guest();
    g.ask(Xs.WATCH, 'data|t|');
    breakIt(g);
    g.client.run();
    expect(g.m.readU32(BASE + 2072)).toBe(error);
    expect(g.client.ignored).toBe(true);
    expect(g.client.connection.watches).toEqual([]);
    g.zero.ask('WRITE', '/local/domain/1/data/y|1');
    g.client.run();
  });
  test('a guest that takes its ring page away is ignored', () => {
    const g = guest();
    g.m.p2m.set(GFN, 0, 0);
    g.client.run();
    expect(g.client.ignored).toBe(true);
  });
  test('a guest that waits for a reconnection is told', () => {
    const w = world();
    const target = new FakeTarget(1);
    target.populate(GFN, 1);
    target.memory.writeU32(BASE + 2068, 1);
    let notified = 0;
    new DomainClient(w.daemon, 1, new StoreRing(target.memory, GFN), () => notified++);
    expect([target.memory.readU32(BASE + 2068), notified]).toEqual([0, 1]);
  });

  test('save and restore in the middle of everything', () => {
    const run = (cut: boolean) => {
      let g = guest();
      const bytes = encodeMessage({ type: Xs.WRITE, requestId: 1, transaction: 0, payload: bytesOf('data/x\0value') });
      g.ask(Xs.WATCH, 'data|t|');
      g.ask(Xs.TRANSACTION_START, '|');
      g.send(bytes.subarray(0, 20));
      g.client.run();
      if (cut) {
        const [store, client, page] = [g.daemon.save(), g.client.save(), g.m.read(BASE, 4096)];
        const plain = structuredClone({ store, client });
        g = guest();
        g.m.write(BASE, page);
        g.daemon.restore(plain.store);
        g.client.restore(plain.client);
      }
      g.send(bytes.subarray(20));
      g.client.run();
      const messages = g.receive().map((r) => `${r.type}:${latin1(r.payload)}`);
      return [messages, JSON.stringify(g.daemon.save()), g.m.read(BASE, 4096)];
    };
    expect(run(true)).toEqual(run(false));
  });
});

describe('hostile bytes', () => {
  const op = fc.nat(24);
  const text = fc.array(
    fc.constantFrom(
      'data',
      '/',
      'a',
      '|',
      '@',
      '1',
      'T',
      'n1',
      'r2',
      'b0',
      '//',
      '\xff',
      '/local/domain/1',
      '@releaseDomain',
    ),
    { maxLength: 8 },
  );
  test('any request of any domain is answered once, and the tree stays whole', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('zero', 'one', 'two'), op, text, fc.nat(3)), { maxLength: 40 }),
        (steps) => {
          const w = world();
          for (const [who, type, words, transaction] of steps)
            expect(w[who as 'zero'].ask(String(type), words.join(''), transaction)).toBeTypeOf('string');
          expect(w.daemon.store.check()).toBeUndefined();
        },
      ),
      { numRuns: 500 },
    );
  });
  test('any bytes in the ring', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 30 }),
        fc.boolean(),
        (chunks, headers) => {
          const g = guest();
          for (const chunk of chunks) {
            if (headers) g.send(new Uint8Array(new Uint32Array([chunk[0]! % 24, 1, 0, chunk.length]).buffer));
            g.send(chunk);
            g.client.run();
            g.receive(chunk[0]! * 4);
          }
          expect(g.daemon.store.check()).toBeUndefined();
        },
      ),
      { numRuns: 500 },
    );
  });
  test('the assembler gives the same messages however the bytes are cut', () => {
    const message = fc.record({
      type: fc.nat(30),
      requestId: fc.nat(),
      transaction: fc.nat(),
      payload: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (messages, cuts) => {
          const assembler = new MessageAssembler();
          const stream = messages.flatMap((m) => [...encodeMessage(m)]);
          const got: Message[] = [];
          for (let at = 0, i = 0; at < stream.length; i++) {
            const n = Math.min(assembler.wanted, cuts[i % cuts.length]!);
            const done = assembler.push(Uint8Array.from(stream.slice(at, at + n)));
            at += n;
            if (done) got.push(done);
          }
          expect(got).toEqual(messages);
          expect(stream.length).toBe(messages.reduce((n, m) => n + HEADER_BYTES + m.payload.length, 0));
        },
      ),
    );
  });
});
