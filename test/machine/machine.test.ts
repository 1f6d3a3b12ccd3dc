import { describe, expect, test } from 'vitest';
import { NEVER, type Ticks, ticks } from '../../src/base/ticks.ts';
import { Exit } from '../../src/cpu/exits.ts';
import { EventLog } from '../../src/log/append.ts';
import type { MachineEvent } from '../../src/log/event.ts';
import { Clock } from '../../src/machine/clock.ts';
import { type MachineConfig, machineConfig } from '../../src/machine/config.ts';
import type { Input, InputSource } from '../../src/machine/door.ts';
import { Machine } from '../../src/machine/machine.ts';
import type { Supervisor } from '../../src/machine/supervisor.ts';
import { P2m } from '../../src/memory/p2m.ts';
import { FakeEngine, type FakeSlot, type Script } from './fake-engine.ts';

/** A machine whose supervisor gives each pcpu one vcpu for good; `idle` says who does not want to run. */
function board(scripts: (() => Script)[], config: Partial<MachineConfig> = {}) {
  const engine = new FakeEngine(16);
  const clock = new Clock();
  const events: MachineEvent[] = [];
  const log = new EventLog(() => clock.now());
  log.events$.subscribe((event) => events.push(event));
  const full = machineConfig({ pcpus: scripts.length, slice_ticks: 100, digest_interval_ticks: 0, ...config });
  const machine = new Machine(full, engine, log, clock);
  const slots = scripts.map((script) => {
    const slot = engine.createVcpu(new P2m(), {} as never);
    slot.script = script();
    return slot;
  });
  const idle = new Set<FakeSlot>();
  let finished: string | undefined;
  const supervisor: Supervisor = {
    schedule(pcpu) {
      const slot = slots[pcpu];
      if (idle.has(slot)) return false;
      engine.switchTo(slot);
      log.where.domain = 1;
      log.where.vcpu = pcpu;
      log.where.pcpu = pcpu;
      return true;
    },
    enter() {},
    finished: () => finished,
    *vcpus() {
      for (const slot of slots) yield { domain: 1, vcpu: slot.index, slot };
    },
  };
  machine.supervise(supervisor);
  const finish = (reason: string) => {
    finished = reason;
  };
  const drained = () => {
    log.flush();
    return events;
  };
  return { machine, engine, clock, log, slots, idle, finish, events: drained };
}

function* forever(): Script {
  for (;;) yield 7;
}
const shape = (events: readonly MachineEvent[]) => events.map((e) => [e.seq, e.tick, e.kind]);

describe('turns', () => {
  test('pcpus take turns of slice_ticks', () => {
    const { machine, engine } = board([forever, forever]);
    expect(machine.run(ticks(450))).toBe('limit');
    expect(machine.now()).toBe(450);
    expect(engine.runs.map((r) => [r.slot, r.from, r.ticks])).toEqual([
      [0, 0, 100],
      [1, 100, 100],
      [0, 200, 100],
      [1, 300, 100],
      [0, 400, 50],
    ]);
  });

  test('how time is cut into runs does not show', () => {
    const whole = board([forever, forever, forever]);
    const pieces = board([forever, forever, forever]);
    whole.machine.run(ticks(1000));
    for (let at = 0; at <= 1000; at += 13) pieces.machine.run(ticks(Math.min(at, 1000)));
    pieces.machine.run(ticks(1000));
    expect(pieces.slots.map((s) => s.ran)).toEqual(whole.slots.map((s) => s.ran));
    expect(pieces.machine.save()).toEqual(whole.machine.save());
  });

  test('an idle pcpu gives its turn away', () => {
    const { machine, slots, idle } = board([forever, forever]);
    idle.add(slots[0]);
    machine.run(ticks(300));
    expect(slots.map((s) => s.ran)).toEqual([0, 300]);
  });

  test('endTurn hands over to the next pcpu', () => {
    const board2 = board([
      function* () {
        yield 10;
        yield () => {
          board2.machine.control.endTurn = true;
          return Exit.YIELD;
        };
        yield* forever();
      },
      forever,
    ]);
    board2.machine.run(ticks(50));
    expect(board2.engine.runs.map((r) => [r.slot, r.ticks])).toEqual([
      [0, 11],
      [1, 39],
    ]);
  });
});

describe('alarms and the running processor', () => {
  test('a run stops exactly at an alarm', () => {
    const { machine } = board([forever]);
    const seen: number[] = [];
    machine.alarms.create('a', () => seen.push(machine.now())).set(ticks(33));
    machine.run(ticks(100));
    expect(seen).toEqual([33]);
  });

  test('an alarm set by an instruction before the end of its run is kept', () => {
    const seen: number[] = [];
    const b = board([
      function* () {
        yield 5;
        yield () => {
          b.machine.alarms.create('late', () => seen.push(b.machine.now())).set(ticks(20));
          return b.machine.control.leave ? Exit.YIELD : Exit.CONTINUE;
        };
        yield* forever();
      },
    ]);
    b.machine.run(ticks(90));
    expect(seen).toEqual([20]);
  });

  test('when all are idle the clock jumps to the alarm, and says so once', () => {
    const { machine, slots, idle, events } = board([forever]);
    idle.add(slots[0]);
    const wake = machine.alarms.create('wake', () => idle.delete(slots[0]));
    wake.set(ticks(5_000));
    expect(machine.run(ticks(1_000))).toBe('limit');
    expect(machine.now()).toBe(1_000);
    machine.run(ticks(2_000));
    machine.run(ticks(5_100));
    expect(slots[0].ran).toBe(100);
    expect(events().filter((e) => e.kind === 'idle')).toHaveLength(1);
    expect(events()[0]).toMatchObject({ kind: 'idle', tick: 0, until: 5_000 });
  });

  test('idle without an alarm is `blocked`, until an input comes', () => {
    const { machine, slots, idle } = board([forever]);
    idle.add(slots[0]);
    machine.door.handle('operator', () => idle.delete(slots[0]));
    expect(machine.run(ticks(100))).toBe('blocked');
    expect(machine.now()).toBe(0);
    machine.door.submit({ kind: 'operator', text: 'go' });
    expect(machine.run(ticks(100))).toBe('limit');
    expect(slots[0].ran).toBe(100);
  });

  test('a processor that retires nothing is reported, not waited for', () => {
    const stuck = board([
      function* () {
        for (;;) yield 0;
      },
    ]);
    stuck.engine.run = () => 0;
    expect(() => stuck.machine.run(ticks(10))).toThrow(/stuck/);
  });
});

describe('the door', () => {
  test('inputs are logged with the tick at which they are applied', () => {
    const { machine, events } = board([forever]);
    const got: string[] = [];
    machine.door.handle('console-input', ({ domain, bytes }) => got.push(`${domain}:${String.fromCharCode(...bytes)}`));
    machine.run(ticks(150));
    machine.door.submit({ kind: 'console-input', domain: 3, bytes: Uint8Array.of(104, 105) });
    expect(got).toEqual([]);
    machine.run(ticks(160));
    expect(got).toEqual(['3:hi']);
    expect(events()).toMatchObject([{ kind: 'console-input', tick: 150, domain: 3 }]);
  });

  test('an input that nothing takes is refused', () => {
    const { machine } = board([forever]);
    expect(() => machine.door.submit({ kind: 'operator', text: 'x' })).toThrow(/operator/);
  });

  test('a stop input ends the machine', () => {
    const { machine } = board([forever]);
    machine.run(ticks(10));
    machine.door.submit({ kind: 'stop', reason: 'test' });
    expect(machine.run(ticks(20))).toBe('stopped');
    expect(machine.now()).toBe(10);
  });

  test('the end of all domains is on the log, once', () => {
    const { machine, finish, events } = board([forever]);
    machine.run(ticks(10));
    finish('all gone');
    expect(machine.run(ticks(20))).toBe('finished');
    expect(machine.run(ticks(20))).toBe('finished');
    expect(events()).toMatchObject([{ kind: 'end', reason: 'all gone' }]);
  });

  /** A guest that sleeps until typed at, with a timer now and then: inputs come while busy, idle and blocked. */
  function session(inputs: 'live' | InputSource, cut: number) {
    const b = board([forever, forever], { digest_interval_ticks: 300 });
    const { machine, slots, idle } = b;
    idle.add(slots[1]);
    const nap = machine.alarms.create('nap', () => idle.delete(slots[1]));
    machine.door.handle('operator', ({ text }) => {
      if (text === 'sleep') for (const slot of slots) idle.add(slot);
      if (text === 'wake') idle.delete(slots[0]);
      if (text === 'nap') nap.set((machine.now() + 1000) as Ticks);
    });
    if (inputs !== 'live') machine.door.replayFrom(inputs);
    const typed: [number, string][] = [
      [0, 'nap'],
      [250, 'sleep'],
      [777, 'wake'],
      [1500, 'sleep'],
      [1500, 'wake'],
    ];
    if (inputs === 'live') {
      for (const [at, text] of typed) {
        machine.run(ticks(at));
        machine.door.submit({ kind: 'operator', text });
      }
    }
    for (let at = cut; at < 4000; at += cut) machine.run(ticks(at));
    machine.run(ticks(4000));
    return b;
  }

  class Recorded implements InputSource {
    readonly #inputs: { tick: number; seq: number; input: Input }[];
    constructor(events: readonly MachineEvent[]) {
      this.#inputs = events
        .filter((e) => e.kind === 'operator')
        .map((e) => ({ tick: e.tick, seq: e.seq, input: { kind: 'operator', text: (e as { text: string }).text } }));
    }
    nextTick() {
      return (this.#inputs[0]?.tick ?? NEVER) as Ticks;
    }
    take(tick: Ticks, seq: number) {
      const next = this.#inputs[0];
      return next?.tick === tick && next.seq === seq ? this.#inputs.shift()!.input : undefined;
    }
  }

  test.each([10_000, 333, 50, 7])('a replay in pieces of %i ticks gives the same log', (cut) => {
    const live = session('live', 10_000);
    const events = live.events();
    expect(events.filter((e) => e.kind === 'operator')).toHaveLength(5);
    expect(events.some((e) => e.kind === 'digest')).toBe(true);
    const replayed = session(new Recorded(events), cut);
    expect(shape(replayed.events())).toEqual(shape(events));
    expect(replayed.events()).toEqual(events);
    expect(replayed.slots.map((s) => s.ran)).toEqual(live.slots.map((s) => s.ran));
  });

  test('in a replay nothing comes from outside', () => {
    const { machine } = board([forever]);
    machine.door.replayFrom(new Recorded([]));
    expect(() => machine.door.submit({ kind: 'stop', reason: '' })).toThrow(/recording/);
  });
});

test('digests come at multiples of the interval while something runs, and only then', () => {
  const { machine, slots, idle, events } = board([forever], { digest_interval_ticks: 1000 });
  machine.run(ticks(2500));
  idle.add(slots[0]);
  const wake = machine.alarms.create('wake', () => idle.delete(slots[0]));
  wake.set(ticks(9_999_999));
  machine.run(ticks(9_999_999 + 10));
  const at = events()
    .filter((e) => e.kind === 'digest' && (e as { scope: string }).scope === 'vcpu')
    .map((e) => e.tick);
  expect(at).toEqual([1000, 2000, 9_999_999, 10_000_000]);
});

test('a machine saved in the middle goes on the same way', () => {
  const one = board([forever, forever]);
  one.machine.run(ticks(730));
  const two = board([forever, forever]);
  two.machine.restore(JSON.parse(JSON.stringify(one.machine.save())));
  one.machine.run(ticks(2000));
  two.machine.run(ticks(2000));
  expect(two.engine.runs.map((r) => [r.slot, r.from, r.ticks])).toEqual(
    one.engine.runs.filter((r) => r.from >= 730).map((r) => [r.slot, r.from, r.ticks]),
  );
  expect(two.machine.save()).toEqual(one.machine.save());
});

test.each([{ pcpus: 0 }, { pcpus: 1.5 }, { slice_ticks: 0 }, { memory_mib: -1 }, { digest_interval_ticks: -5 }])(
  'configuration %j is refused',
  (config) => {
    expect(() => machineConfig(config)).toThrow(RangeError);
  },
);
