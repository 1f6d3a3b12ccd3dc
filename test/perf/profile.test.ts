import { describe, expect, test } from 'vitest';
import { counterTable, startCounting } from '../../perf/counters.ts';
import { type CpuProfile, hostFunctions } from '../../perf/cpuprofile.ts';
import { sampleGuest } from '../../perf/guest-profile.ts';
import { InstructionMix, mixTable } from '../../perf/instruction-mix.ts';
import { benchGuest } from '../../perf/workloads/bench-guest.ts';
import { workloadByName } from '../../perf/workloads/index.ts';
import { runOnce } from '../../perf/workloads/run.ts';
import { EventLog } from '../../src/log/append.ts';
import { Session } from '../../src/session.ts';
import { WasmEngine } from '../../src/cpu/engine/wasm-engine.ts';

const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 0 });

describe('a host profile', () => {
  const profile: CpuProfile = {
    nodes: [
      { id: 1, callFrame: frame('(root)'), children: [2, 5] },
      { id: 2, callFrame: frame('a', 'file:///x/src/a.ts'), children: [3] },
      { id: 3, callFrame: frame('b', 'wasm://wasm/1'), children: [4] },
      { id: 4, callFrame: frame('a', 'file:///x/src/a.ts') },
      { id: 5, callFrame: frame('(idle)') },
    ],
    samples: [2, 3, 4, 5],
    timeDeltas: [0, 1000, 2000, 3000, 4000],
  };
  test('is summed by function: own time, and whole time once where it recurs', () => {
    const functions = hostFunctions(profile);
    const of = (name: string) => functions.find((f) => f.name === name);
    expect(of('a')).toMatchObject({ selfMs: 4, totalMs: 6, where: 'src/a.ts:1' });
    expect(of('b')).toMatchObject({ selfMs: 2, totalMs: 5, where: 'wasm' });
    expect(of('(idle)')).toBeUndefined();
    expect(of('a')!.share).toBeCloseTo(4 / 6);
  });
  test('of something else is refused', () => {
    expect(() => hostFunctions({} as CpuProfile)).toThrow('not a .cpuprofile');
  });
});

/** The bench guest, with its log's digest-relevant end state. */
function session(): { session: Session; log: EventLog } {
  const { config, images } = benchGuest('sort', 1);
  let log!: EventLog;
  const made = new Session({ config, images, createLog: (now) => (log = new EventLog(now)) });
  return { session: made, log };
}

describe('a guest profile', () => {
  test('names functions and is the same every time', () => {
    const [first, second] = [sampleGuest(session().session, 997), sampleGuest(session().session, 997)];
    expect(first).toEqual(second);
    expect(first.samples).toBeGreaterThan(500);
    expect(first.places[0]).toMatchObject({ name: 'sort', domain: 'bench-sort', kernel: true });
    expect(first.places.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  });
  test('changes nothing: ticks and events are those of an unwatched run', () => {
    const plain = session();
    while (plain.session.run((plain.session.now() + 50_000) as never) === 'limit');
    const watched = session();
    const mix = new InstructionMix(watched.session.engine);
    sampleGuest(watched.session, 101, undefined, () => mix.sample());
    expect(watched.session.now()).toBe(plain.session.now());
    expect(watched.log.seq).toBe(plain.log.seq);
    expect(watched.session.engine.stateDigest()).toBe(plain.session.engine.stateDigest());
  });
});

test('the instruction mix names handlers, and its shares add up', () => {
  const { session: guest } = session();
  const mix = new InstructionMix(guest.engine);
  sampleGuest(guest, 997, undefined, () => mix.sample());
  const entries = mix.mix();
  expect(entries.map(({ handler }) => handler)).toContain('CMP/r64,r64');
  expect(entries.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  expect(mixTable(entries, 3)).toHaveLength(4);
});

test('counters count while they are on, and leave no trace', () => {
  const before = [WasmEngine.prototype.run, EventLog.prototype.appendAt, WebAssembly.Instance];
  const counting = startCounting();
  const { cost } = runOnce(workloadByName('hypercall:1000'), 'recorded');
  const counted = new Map(counting.stop().map(({ name, count }) => [name, count]));
  expect(counted.get('log records')).toBe(cost.events);
  expect(counted.get('call callout')).toBeGreaterThan(1000);
  expect(counted.get('runs')).toBeGreaterThan(0);
  expect([WasmEngine.prototype.run, EventLog.prototype.appendAt, WebAssembly.Instance]).toEqual(before);
  expect(counterTable([{ name: 'x', meaning: 'm', count: 5 }], 2e6)[1]).toMatch(/5 +2\.5 {2}x/);
});

test('an unknown workload is refused by name', () => {
  expect(() => workloadByName('windows')).toThrow('there is no workload "windows"');
});
