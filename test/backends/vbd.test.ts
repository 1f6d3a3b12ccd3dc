import { describe, expect, test } from 'vitest';
import { BLKIF_OP, BLKIF_RSP } from '../../src/backends/blkif/abi.ts';
import { Disk } from '../../src/backends/blkif/disk.ts';
import { type DiskUse, Vbd } from '../../src/backends/blkif/vbd.ts';
import { FakeServices, FakeStore } from './fake-services.ts';
import { wholeDisk } from './whole-disk.ts';

const FRONT = '/front';
const BACK = '/back';
const LATENCY = 100_000;

interface Op {
  op: number;
  id?: number;
  sector?: number;
  segments?: [ref: number, first: number, last: number][];
  sectors?: number;
}

/** A guest with one ring at reference 100 and pages of data wherever a test grants them. */
class Guest {
  readonly services = new FakeServices();
  readonly store = new FakeStore();
  readonly ring: DataView;
  readonly vbd: Vbd;
  readonly disk: Disk;
  #produced = 0;

  constructor(disk: Disk, use: Partial<DiskUse> = {}) {
    this.disk = disk;
    const { services, store } = this;
    this.ring = new DataView(services.grant(1, 100).buffer);
    this.ring.setUint32(4, 1, true);
    this.ring.setUint32(12, 1, true);
    services.offered.add('1:7');
    this.vbd = new Vbd(services, store, { domain: 1, front: FRONT, back: BACK }, disk, { cdrom: false, ...use });
  }

  say(nodes: Record<string, string>): void {
    for (const [name, value] of Object.entries(nodes)) this.store.write(`${FRONT}/${name}`, value);
  }
  connect(more: Record<string, string> = {}): this {
    this.say({ 'ring-ref': '100', 'event-channel': '7', protocol: 'x86_64-abi', ...more, state: '3' });
    return this;
  }
  back(name: string): string | undefined {
    return this.store.read(`${BACK}/${name}`);
  }

  put({ op, id = 0, sector = 0, segments = [], sectors = 0 }: Op): void {
    const at = 64 + (this.#produced++ % 32) * 112;
    this.ring.setUint8(at, op);
    this.ring.setUint8(at + 1, op === BLKIF_OP.DISCARD ? 0 : segments.length);
    this.ring.setBigUint64(at + 8, BigInt(id), true);
    this.ring.setBigUint64(at + 16, BigInt(sector), true);
    if (op === BLKIF_OP.DISCARD) this.ring.setBigUint64(at + 24, BigInt(sectors), true);
    else
      for (const [i, [ref, first, last]] of segments.entries()) {
        this.ring.setUint32(at + 24 + 8 * i, ref, true);
        this.ring.setUint8(at + 28 + 8 * i, first);
        this.ring.setUint8(at + 29 + 8 * i, last);
      }
    this.ring.setUint32(0, this.#produced, true);
  }
  /** Notifies, waits, and gives the status of response `index`. */
  done(index: number): { id: number; op: number; status: number } {
    this.services.signal();
    this.services.pass(LATENCY);
    expect(this.ring.getUint32(8, true)).toBeGreaterThan(index);
    const at = 64 + (index % 32) * 112;
    return {
      id: Number(this.ring.getBigUint64(at, true)),
      op: this.ring.getUint8(at + 8),
      status: this.ring.getInt16(at + 10, true),
    };
  }
}

const guest = (readOnly = false) =>
  new Guest(
    new Disk(
      Uint8Array.from({ length: 65536 }, (_, i) => i >> 9),
      readOnly,
    ),
  );

describe('the handshake', () => {
  test('offers, waits, connects, closes, and begins anew', () => {
    const g = guest();
    expect([g.back('state'), g.back('feature-persistent'), g.back('feature-max-indirect-segments')]).toEqual([
      '2',
      '1',
      '256',
    ]);
    g.connect();
    expect([g.back('state'), g.back('sectors'), g.back('sector-size'), g.back('info')]).toEqual([
      '4',
      '128',
      '512',
      '0',
    ]);
    g.say({ state: '5' });
    expect([g.back('state'), g.services.mapped.size, g.services.handlers.size]).toEqual(['5', 0, 0]);
    g.say({ state: '6' });
    g.say({ state: '1' });
    expect(g.back('state')).toBe('2');
    g.connect();
    expect(g.back('state')).toBe('4');
  });

  test.each([
    ['a ring that is not granted', { 'ring-ref': '5' }],
    ['a port that is not there', { 'event-channel': '9' }],
    ['a protocol of another architecture', { protocol: 'arm-abi' }],
    ['more rings than offered', { 'multi-queue-num-queues': '1000000' }],
    ['a number that is none', { 'ring-page-order': 'x' }],
  ])('%s ends it without anything left mapped', (_, nodes) => {
    const g = guest().connect(nodes as Record<string, string>);
    expect([g.back('state'), g.services.mapped.size, g.services.handlers.size]).toEqual(['5', 0, 0]);
    expect(g.back('error')).toContain('22');
  });

  test('a domain that goes away leaves nothing mapped and no timer', () => {
    const g = guest().connect();
    g.services.signal();
    g.vbd.remove();
    expect([g.services.mapped.size, g.services.handlers.size, g.services.timers.size]).toEqual([0, 0, 0]);
  });
});

describe('requests', () => {
  test('are answered a fixed time after the notification', () => {
    const g = guest().connect();
    g.services.grant(1, 1);
    g.put({ op: BLKIF_OP.READ, segments: [[1, 0, 7]] });
    g.services.signal();
    g.services.pass(LATENCY - 1);
    expect(g.ring.getUint32(8, true)).toBe(0);
    g.services.pass(1);
    expect(g.ring.getUint32(8, true)).toBe(1);
    expect(g.services.notified.length).toBe(1);
  });

  test('read and write pieces of pages', () => {
    const g = guest().connect();
    const page = g.services.grant(1, 1);
    g.put({ op: BLKIF_OP.READ, id: 77, sector: 10, segments: [[1, 2, 4]] });
    expect(g.done(0)).toEqual({ id: 77, op: BLKIF_OP.READ, status: BLKIF_RSP.OKAY });
    expect([page[1023], page[1024], page[1536], page[2048], page[2560]]).toEqual([0, 10, 11, 12, 0]);
    page.fill(0xee, 0, 512);
    g.put({ op: BLKIF_OP.WRITE, sector: 20, segments: [[1, 0, 0]] });
    expect(g.done(1).status).toBe(BLKIF_RSP.OKAY);
    expect(wholeDisk(g.disk)[20 * 512]).toBe(0xee);
    expect(g.services.mapped.size).toBe(1);
  });

  test('keep their grants if the front end asks for it, until it leaves', () => {
    const g = guest().connect({ 'feature-persistent': '1' });
    g.services.grant(1, 1);
    for (let i = 0; i < 3; i++) {
      g.put({ op: BLKIF_OP.READ, segments: [[1, 0, 7]] });
      expect(g.done(i).status).toBe(BLKIF_RSP.OKAY);
    }
    expect(g.services.mapped.size).toBe(2);
    g.say({ state: '6' });
    expect(g.services.mapped.size).toBe(0);
  });

  test('come with indirect segments', () => {
    const g = guest().connect();
    const list = new DataView(g.services.grant(1, 50).buffer);
    for (let i = 0; i < 12; i++) {
      g.services.grant(1, i);
      list.setUint32(8 * i, i, true);
      list.setUint8(8 * i + 5, 7);
    }
    const at = 64;
    g.put({ op: BLKIF_OP.INDIRECT, id: 3, sector: 0 });
    g.ring.setUint8(at + 1, BLKIF_OP.READ);
    g.ring.setUint16(at + 2, 12, true);
    g.ring.setUint32(at + 28, 50, true);
    // The response names the operation that was asked for, not the way it came.
    expect(g.done(0)).toEqual({ id: 3, op: BLKIF_OP.READ, status: BLKIF_RSP.OKAY });
    expect(g.services.pages.get('1:11')![0]).toBe(88);
  });

  test('a disk that is not to be discarded offers it not, and refuses', () => {
    const g = new Guest(guest().disk, { discard: false }).connect();
    expect(g.back('feature-discard')).toBeUndefined();
    g.put({ op: BLKIF_OP.DISCARD, sector: 8, sectors: 4 });
    expect(g.done(0).status).toBe(BLKIF_RSP.ERROR);
    expect(g.disk.changedBytes).toBe(0);
  });

  test('flush and discard', () => {
    const g = guest().connect();
    g.put({ op: BLKIF_OP.FLUSH_DISKCACHE });
    expect(g.done(0).status).toBe(BLKIF_RSP.OKAY);
    g.put({ op: BLKIF_OP.DISCARD, sector: 8, sectors: 4 });
    expect(g.done(1).status).toBe(BLKIF_RSP.OKAY);
    expect([wholeDisk(g.disk)[7 * 512], wholeDisk(g.disk)[8 * 512], wholeDisk(g.disk)[12 * 512]]).toEqual([7, 0, 12]);
  });

  test.each<[string, Op, number]>([
    ['beyond the end', { op: BLKIF_OP.READ, sector: 127, segments: [[1, 0, 1]] }, BLKIF_RSP.ERROR],
    ['of an absurd sector', { op: BLKIF_OP.READ, sector: 2 ** 52, segments: [[1, 0, 1]] }, BLKIF_RSP.ERROR],
    ['of a page not granted', { op: BLKIF_OP.READ, segments: [[9, 0, 1]] }, BLKIF_RSP.ERROR],
    ['into a page granted for reading', { op: BLKIF_OP.READ, segments: [[2, 0, 1]] }, BLKIF_RSP.ERROR],
    ['of sectors beyond the page', { op: BLKIF_OP.READ, segments: [[1, 0, 8]] }, BLKIF_RSP.ERROR],
    ['of sectors backwards', { op: BLKIF_OP.READ, segments: [[1, 3, 1]] }, BLKIF_RSP.ERROR],
    ['of a kind that is not there', { op: 17 }, BLKIF_RSP.EOPNOTSUPP],
  ])('a request %s fails and harms nothing', (_, op, status) => {
    const g = guest().connect();
    g.services.grant(1, 1);
    g.services.grant(1, 2);
    g.services.readOnly.add('1:2');
    g.put(op);
    expect(g.done(0).status).toBe(status);
    expect(g.disk.changedBytes).toBe(0);
    expect(g.services.mapped.size).toBe(1);
  });

  test('a read-only disk takes no writes and says so', () => {
    const g = guest(true).connect();
    expect([g.back('info'), g.back('feature-discard')]).toEqual(['4', undefined]);
    g.services.grant(1, 1);
    g.put({ op: BLKIF_OP.WRITE, segments: [[1, 0, 0]] });
    expect(g.done(0).status).toBe(BLKIF_RSP.ERROR);
  });

  test('a ring whose index makes no sense is left alone', () => {
    const g = guest().connect();
    g.ring.setUint32(0, 1_000_000, true);
    g.services.signal();
    g.services.pass(LATENCY);
    expect(g.ring.getUint32(8, true)).toBe(0);
  });

  test('that make up new ones by reading over their own ring are done a ring at a time', () => {
    // Each page of the disk holds a ring with one request more, all of which read the next page into the ring.
    const PAGES = 200;
    const image = new Uint8Array(PAGES * 4096);
    const g = new Guest(new Disk(image, true)).connect();
    for (let page = 0; page < PAGES; page++) {
      for (let entry = 0; entry < 32; entry++) {
        g.put({ op: BLKIF_OP.READ, sector: ((page + 1) % PAGES) * 8, segments: [[100, 0, 7]] });
      }
      g.ring.setUint32(0, page + 2, true);
      image.set(new Uint8Array(g.ring.buffer), page * 4096);
    }
    g.ring.setUint32(0, 1, true);
    g.services.signal();
    g.services.pass(LATENCY);
    // 32 requests at once, and the rest waits for the next turn.
    expect(g.ring.getUint32(8, true)).toBe(32);
    g.services.pass(LATENCY);
    expect(g.ring.getUint32(8, true)).toBe(64);
  });

  test('to a disk that has taken all that it may are errors; it can still be read', () => {
    const g = new Guest(new Disk(new Uint8Array(65536), false, 4)).connect();
    g.services.grant(1, 1);
    const write = { op: BLKIF_OP.WRITE, segments: [[1, 0, 7]] as [number, number, number][] };
    for (const sector of [0, 8, 16, 24]) g.put({ ...write, sector });
    g.put({ ...write, op: BLKIF_OP.READ });
    const statuses = [0, 1, 2, 3, 4].map((index) => g.done(index).status);
    expect(statuses).toEqual([BLKIF_RSP.OKAY, BLKIF_RSP.OKAY, BLKIF_RSP.OKAY, BLKIF_RSP.ERROR, BLKIF_RSP.OKAY]);
  });

  test('go around the ring many times', () => {
    const g = guest().connect();
    g.services.grant(1, 1);
    for (let i = 0; i < 100; i++) {
      g.put({ op: BLKIF_OP.READ, id: i, sector: i, segments: [[1, 0, 0]] });
      expect(g.done(i)).toEqual({ id: i, op: BLKIF_OP.READ, status: BLKIF_RSP.OKAY });
    }
  });

  test('saved and put back, it goes on where it was', () => {
    const g = guest().connect({ 'feature-persistent': '1' });
    g.services.grant(1, 1);
    g.put({ op: BLKIF_OP.READ, sector: 5, segments: [[1, 0, 0]] });
    g.done(0);
    const state = structuredClone(g.vbd.save());
    const ring = new Uint8Array(g.ring.buffer).slice();
    g.put({ op: BLKIF_OP.READ, sector: 6, segments: [[1, 0, 0]] });
    g.done(1);
    g.vbd.restore(state);
    new Uint8Array(g.ring.buffer).set(ring);
    expect(g.vbd.save()).toEqual(state);
    g.ring.setUint32(0, 2, true);
    g.ring.setBigUint64(64 + 112 + 8, 9n, true);
    g.ring.setBigUint64(64 + 112 + 16, 6n, true);
    expect(g.done(1)).toMatchObject({ id: 9, status: BLKIF_RSP.OKAY });
    expect(g.services.pages.get('1:1')![0]).toBe(6);
  });
});
