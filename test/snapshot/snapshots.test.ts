import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/host/files.ts';
import { PageStore } from '../../src/snapshot/page-store.ts';
import { ReplaySession } from '../../replay/session.ts';
import { Timeline } from '../../replay/timeline.ts';
import { type Guest, type Made, placeDigest, recordGuests } from './support.ts';

const SETS: Record<string, readonly Guest[]> = {
  'two domains over a ring, preserved': [
    { guest: 'ring-back', cmdline: 'requests=40', preserve: true },
    { guest: 'ring-front', cmdline: 'requests=40', preserve: true },
  ],
  'two vcpus, idle time, and domains that end': [
    { guest: 'race', cmdline: 'rounds=40 work=2000', vcpus: 2 },
    { guest: 'ticker', cmdline: 'ticks=6 period_ms=1' },
  ],
};

/** Places by a straight replay, one run. */
function straight({ recording, build }: Made, ticks: readonly number[]): string[] {
  const timeline = new Timeline(recording, build, { spacing: Number.MAX_SAFE_INTEGER });
  return ticks.map((tick) => {
    timeline.forward(tick);
    return placeDigest(timeline.session);
  });
}

describe.each(Object.entries(SETS))('snapshots of %s', (_name, guests) => {
  const made = recordGuests(guests);
  const { recording, build } = made;
  const end = recording.lastTick;

  it('is recorded to be replayed', () => {
    const result = new ReplaySession(recording, build, { createHash: sha256 }).run();
    expect(result).toMatchObject({ verified: true, whole: true });
    expect(end).toBeGreaterThan(300_000);
  });

  it('taken often, change nothing: every event, the digest and the final state stay', () => {
    const timeline = new Timeline(recording, build, { spacing: 20_000, createHash: sha256 });
    timeline.seek(end);
    expect(timeline.snapshots.list.length).toBeGreaterThan(10);
    expect(timeline.session.log.digest()).toBe((recording.ending as { totals: { digest: string } }).totals.digest);
    expect(placeDigest(timeline.session)).toBe(straight(made, [end])[0]);
  });

  it('lead to the same end from each of them', () => {
    const timeline = new Timeline(recording, build, { spacing: Math.ceil(end / 12), createHash: sha256 });
    timeline.seek(end);
    const { list } = timeline.snapshots;
    const wanted = (recording.ending as { totals: { digest: string } }).totals.digest;
    for (const { tick } of [...list].reverse()) {
      timeline.seek(tick);
      // Without the others, so that it really runs.
      const rest = list.splice(list.findIndex((each) => each.tick > tick) >>> 0);
      timeline.seek(end);
      expect(timeline.session.log.digest(), `from ${tick}`).toBe(wanted);
      list.splice(list.length, 0, ...rest.filter((each) => !list.some((other) => other.tick === each.tick)));
      list.sort((a, b) => a.tick - b.tick);
    }
  });

  it('make seeks in any order arrive where a straight replay does', () => {
    const random = generator(12345);
    const ticks = Array.from({ length: 25 }, () => random(end)).sort((a, b) => a - b);
    const places = new Map(straight(made, ticks).map((place, i) => [ticks[i], place]));
    const timeline = new Timeline(recording, build, { spacing: Math.ceil(end / 20) });
    for (const tick of [...ticks].sort((a, b) => ((a * 7919) % 1009) - ((b * 7919) % 1009))) {
      timeline.seek(tick);
      expect(placeDigest(timeline.session)).toBe(places.get(tick));
    }
  });

  it('keep to the memory limit, and still arrive', () => {
    const limit = 6 << 20;
    const timeline = new Timeline(recording, build, { spacing: 5_000, memoryLimit: limit });
    timeline.seek(end);
    expect(timeline.snapshots.bytes).toBeLessThanOrEqual(limit);
    expect(timeline.snapshots.list.length).toBeGreaterThan(3);
    timeline.seek(Math.floor(end / 3));
    expect(placeDigest(timeline.session)).toBe(straight(made, [Math.floor(end / 3)])[0]);
  });
});

describe('the page store', () => {
  const filled = (byte: number) => new Uint8Array(4096).fill(byte);

  it('keeps equal pages once, and reuses what is released', () => {
    const store = new PageStore();
    const first = store.intern(filled(1));
    expect(store.intern(filled(1))).toBe(first);
    const second = store.intern(filled(2));
    expect(second).not.toBe(first);
    expect(store.page(second)).toEqual(filled(2));
    expect(store.intern(new Uint8Array(4096))).toBe(0);
    expect(store.page(0)).toEqual(new Uint8Array(4096));
    expect(store.pages).toBe(2);
    store.release(first);
    expect(store.page(store.intern(filled(1)))).toEqual(filled(1));
    store.release(first);
    store.release(first);
    expect(store.pages).toBe(1);
    expect(store.intern(filled(3))).toBe(first);
  });

  it('freezes and thaws pages, and all the while each has its content', () => {
    const store = new PageStore();
    const held = new Map<number, Uint8Array>();
    const random = generator(7);
    for (let round = 0; round < 4000; round++) {
      if (held.size < 800 || random(3) > 0) {
        const content = new Uint8Array(4096);
        for (let i = 0; i < 40; i++) content[random(4096)] = random(256);
        held.set(store.intern(content), content);
      }
      if (random(2) === 0) {
        const page = [...held.keys()][random(held.size)]!;
        held.delete(page);
        store.release(page);
      }
      if (round % 97 === 0) while (store.shrink(1 << 20)) expect(store.rawBytes).toBeGreaterThan(0);
    }
    expect(store.pages).toBe(held.size);
    // A tenth or so of what the pages are, and the open groups.
    expect(store.bytes).toBeLessThan(held.size * 1024 + (6 << 20));
    for (const [page, content] of held) expect(Buffer.compare(store.page(page), content)).toBe(0);
    for (const page of held.keys()) expect(store.intern(held.get(page)!)).toBe(page);
    for (const page of held.keys()) {
      store.release(page);
      store.release(page);
    }
    expect(store.pages).toBe(0);
  });
});

function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
