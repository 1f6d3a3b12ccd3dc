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
    let seed = 12345;
    const random = (n: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
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
  it('keeps equal pages once, never takes a hash for equality, and reuses what is released', () => {
    const store = new PageStore();
    const a = new Uint8Array(4096).fill(1);
    const b = new Uint8Array(4096).fill(2);
    const first = store.intern(a, 7n);
    expect(store.intern(a.slice(), 7n)).toBe(first);
    const second = store.intern(b, 7n);
    expect(second).not.toBe(first);
    expect(store.page(second)).toEqual(b);
    expect(store.intern(new Uint8Array(4096), 9n)).toBe(0);
    expect(store.bytes).toBe(2 * 4096);
    store.release(first);
    expect(store.page(store.intern(a, 7n))).toEqual(a);
    store.release(first);
    store.release(first);
    expect(store.bytes).toBe(4096);
    expect(store.intern(a, 7n)).toBe(first);
  });
});
