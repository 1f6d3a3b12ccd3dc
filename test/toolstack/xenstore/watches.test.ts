import { describe, expect, test } from 'vitest';
import { LocalClient } from '../../../src/toolstack/xenstore/local-client.ts';
import { Xenstored } from '../../../src/toolstack/xenstore/xenstored.ts';
import { world } from './raw-client.ts';

describe('watches', () => {
  test('fire once at the start, then for the node and all below', () => {
    const { zero } = world();
    expect(zero.ask('WATCH', '/a/b|tok|')).toBe('OK|');
    expect(zero.take()).toEqual(['/a/b|tok|']);
    zero.ask('WRITE', '/a/b|1');
    zero.ask('WRITE', '/a/b/c|1');
    zero.ask('WRITE', '/a/bc|1');
    zero.ask('WRITE', '/a|1');
    zero.ask('MKDIR', '/a/b/d|');
    zero.ask('MKDIR', '/a/b/d|');
    zero.ask('SET_PERMS', '/a/b|n0|');
    expect(zero.take()).toEqual(['/a/b|tok|', '/a/b/c|tok|', '/a/b/d|tok|', '/a/b|tok|']);
  });
  test('removing a tree tells each watched node below, and those above', () => {
    const { zero } = world();
    zero.ask('WRITE', '/t/x/y|1');
    zero.ask('WATCH', '/|root|');
    zero.ask('WATCH', '/t/x/y|leaf|');
    zero.ask('WATCH', '/t/x/none|none|');
    zero.take();
    zero.ask('RM', '/t|');
    expect(zero.take()).toEqual(['/t/x/y|leaf|', '/t|root|']);
  });
  test('relative watches give relative events', () => {
    const { zero, one } = world();
    one.ask('WATCH', 'data|t|');
    one.ask('WATCH', '/local/domain/1/data|u|');
    zero.ask('WRITE', '/local/domain/1/data/x|1');
    expect(one.take()).toEqual(['data|t|', '/local/domain/1/data|u|', 'data/x|t|', '/local/domain/1/data/x|u|']);
  });
  test('only what may be read is told', () => {
    const { zero, one } = world();
    one.ask('WATCH', '/|t|');
    one.take();
    zero.ask('WRITE', '/secret|1');
    expect(one.take()).toEqual([]);
    zero.ask('SET_PERMS', '/secret|n0|r1|');
    expect(one.take()).toEqual(['/secret|t|']);
    zero.ask('SET_PERMS', '/secret|n0|');
    expect(one.take()).toEqual(['/secret|t|']);
    zero.ask('WRITE', '/secret|2');
    expect(one.take()).toEqual([]);
  });
  test('errors', () => {
    const { one } = world();
    expect(one.ask('WATCH', 'data|t|')).toBe('OK|');
    expect(one.ask('WATCH', 'data|t|')).toBe('!EEXIST');
    expect(one.ask('WATCH', 'data|u|')).toBe('OK|');
    expect(one.ask('WATCH', 'data|')).toBe('!EINVAL');
    expect(one.ask('WATCH', '/a//b|t|')).toBe('!EINVAL');
    expect(one.ask('UNWATCH', 'data|x|')).toBe('!ENOENT');
    expect(one.ask('UNWATCH', 'data|t|')).toBe('OK|');
    expect(one.ask('RESET_WATCHES', '|')).toBe('OK|');
    expect(one.ask('UNWATCH', 'data|u|')).toBe('!ENOENT');
  });
  test('the reply to WATCH comes before its first event, that to WRITE after the events it causes', () => {
    const daemon = new Xenstored();
    const order: number[] = [];
    const c = daemon.connect(0, (m) => order.push(m.type));
    const payload = (s: string) => Uint8Array.from(s, (x) => x.charCodeAt(0));
    daemon.process(c, { type: 4, requestId: 0, transaction: 0, payload: payload('/a\0t\0') });
    daemon.process(c, { type: 11, requestId: 0, transaction: 0, payload: payload('/a\0v') });
    expect(order).toEqual([4, 15, 15, 11]);
  });
  test('@releaseDomain is for Domain 0 unless it allows others', () => {
    const { daemon, zero, one, two } = world();
    for (const c of [zero, one, two]) c.ask('WATCH', '@releaseDomain|r|');
    expect(one.ask('SET_PERMS', '@releaseDomain|n0|r1|')).toBe('!EACCES');
    expect(zero.ask('SET_PERMS', '@releaseDomain|n0|r1|')).toBe('OK|');
    expect(zero.ask('SET_PERMS', '@other|n0|')).toBe('!EINVAL');
    for (const c of [zero, one, two]) c.take();
    one.ask('WRITE', 'data/x|1');
    daemon.domainGone(2);
    expect([zero.take(), one.take(), two.take()]).toEqual([['@releaseDomain|r|'], ['@releaseDomain|r|'], []]);
  });
  test('nodes of a domain that is gone go with it', () => {
    const { daemon, zero, one } = world();
    zero.ask('MKDIR', '/shared|');
    zero.ask('SET_PERMS', '/shared|b0|');
    one.ask('WRITE', '/shared/by-one/x|1');
    one.ask('WRITE', 'data/x|1');
    daemon.domainGone(1);
    expect(zero.ask('DIRECTORY', '/shared|')).toBe('');
    expect(zero.ask('READ', '/local/domain/1/data|')).toBe('!ENOENT');
    expect(zero.ask('READ', '/local/domain/1|')).toBe('');
    expect(daemon.store.owned(1)).toBe(0);
    expect(daemon.store.check()).toBeUndefined();
  });
});

describe('the client of Domain 0’s services', () => {
  test('callbacks run after requests and may ask themselves', () => {
    const store = new LocalClient(new Xenstored());
    const seen: string[] = [];
    const stop = store.watch('/w', (path) => {
      seen.push(`${path}=${store.read(path)}`);
      if (seen.length === 2) store.write('/w/y', 'from callback');
    });
    store.write('/w/x', '1');
    expect(store.read('/w/x')).toBe('1');
    expect(seen).toEqual(['/w=undefined', '/w/x=1', '/w/y=from callback']);
    stop();
    store.write('/w/x', '2');
    expect(seen).toHaveLength(3);
  });
  test('transactions hide themselves from callbacks until they end', () => {
    const store = new LocalClient(new Xenstored());
    const seen: (string | undefined)[] = [];
    store.watch('/w', () => seen.push(store.read('/w')));
    store.transaction(() => {
      store.write('/w', '1');
      store.write('/w', '2');
    });
    expect(seen).toEqual([undefined, '2']);
    expect(() =>
      store.transaction(() => {
        store.write('/w', '3');
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(store.read('/w')).toBe('2');
  });
  test('long lists', () => {
    const store = new LocalClient(new Xenstored());
    const names = Array.from({ length: 900 }, (_, i) => `child-${i}`);
    for (const n of names) store.mkdir(`/big/${n}`);
    expect(store.list('/big')).toEqual(names);
    expect(store.list('/none')).toEqual([]);
  });
});
