import { beforeEach, describe, expect, test } from 'vitest';
import { ticks } from '../../src/base/ticks.ts';
import { E } from '../../src/hypervisor/abi/errno.ts';
import * as abi from '../../src/hypervisor/abi/sched.ts';
import { SCHEDOP, SHUTDOWN } from '../../src/hypervisor/abi/sched.ts';
import { u32, u64 } from '../../src/hypervisor/abi/struct.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import type { Vcpu } from '../../src/hypervisor/vcpu.ts';
import type { Step } from '../machine/fake-engine.ts';
import { ARG, DATA, Fixture, HOLE, WIDTHS } from './fixture.ts';

/** One hypercall as a step of a script. */
function hypercall(f: Fixture, v: Vcpu, name: 'sched_op' | 'set_timer_op', ...args: (number | bigint)[]): Step {
  return () => {
    f.call(v, name, ...args);
    return f.machine.control.leave ? 1 : 0;
  };
}

describe.each(WIDTHS)('sched_op from a caller with %i-byte longs', (width) => {
  let f: Fixture;
  let domain: Domain;
  let v: Vcpu;
  beforeEach(() => {
    f = new Fixture(width);
    domain = f.domain();
    v = domain.vcpus[0];
  });

  test('poll: a pending port returns at once, bad ones fail', () => {
    const port = domain.events.bindIpi(0);
    domain.events.send(port);
    const poll = (ports: number[], nr_ports = ports.length, at = DATA) => {
      for (const [i, p] of ports.entries()) f.put(v, u32, p, DATA + BigInt(4 * i));
      return f.op(v, 'sched_op', SCHEDOP.poll, abi.poll, { ports: at, nr_ports, timeout: 0n }).rc;
    };
    expect(poll([port])).toBe(0);
    expect(v.blocked).toBe(false);
    expect(poll([9999])).toBe(-E.INVAL);
    expect(poll([], 129)).toBe(-E.INVAL);
    expect(poll([], 1, HOLE)).toBe(-E.FAULT);
    expect(v.blocked).toBe(false);
  });

  test('poll: blocks until the port, another port does not wake it', () => {
    const [a, b] = [domain.events.bindIpi(0), domain.events.bindIpi(0)];
    f.put(v, u32, a, DATA);
    expect(f.op(v, 'sched_op', SCHEDOP.poll, abi.poll, { ports: DATA, nr_ports: 1, timeout: 0n }).rc).toBe(0);
    expect(v.blocked).toBe(true);
    domain.events.send(b);
    expect(v.blocked).toBe(true);
    domain.events.send(a);
    expect(v.blocked).toBe(false);
  });

  test('poll: a masked port wakes too; several ports wake on any', () => {
    const [a, b] = [domain.events.bindIpi(0), domain.events.bindIpi(0)];
    domain.shared!.setBit(domain.offsets.mask, b);
    f.put(v, u32, a, DATA);
    f.put(v, u32, b, DATA + 4n);
    f.op(v, 'sched_op', SCHEDOP.poll, abi.poll, { ports: DATA, nr_ports: 2, timeout: 0n });
    expect(v.blocked).toBe(true);
    domain.events.send(b);
    expect(v.blocked).toBe(false);
  });

  test('poll with a timeout ends at that tick', () => {
    f.put(v, abi.poll, { ports: 0n, nr_ports: 0, timeout: 5000n });
    f.script(v, function* () {
      yield 10;
      yield hypercall(f, v, 'sched_op', SCHEDOP.poll, ARG);
      yield 1000;
    });
    f.machine.run(ticks(4999));
    expect([v.blocked, f.slot(v).ran]).toEqual([true, 11]);
    f.machine.run(ticks(5100));
    expect([v.blocked, f.slot(v).ran]).toEqual([false, 111]);
    expect(f.events('timer-fire')).toMatchObject([{ timer: 'poll', tick: 5000, deadline: 5000 }]);
  });

  test('block: unmasks events and waits for one; with one deliverable it goes on', () => {
    domain.callbackVector = 0xf3;
    const port = domain.events.bindIpi(0);
    v.info.setU8(1, 1);
    f.interrupts(v, true);
    f.call(v, 'sched_op', SCHEDOP.block);
    expect([v.blocked, v.info.u8(1)]).toEqual([true, 0]);
    domain.events.send(port);
    expect(v.blocked).toBe(false);
    f.call(v, 'sched_op', SCHEDOP.block);
    expect(v.blocked).toBe(false);
    f.interrupts(v, false);
    f.call(v, 'sched_op', SCHEDOP.block);
    expect(v.blocked).toBe(true);
  });

  test.each(Object.entries(SHUTDOWN).filter(([name]) => name !== 'MAX'))('shutdown %s', (_name, reason) => {
    const told: number[] = [];
    f.control.onShutdown = (id) => told.push(id);
    expect(f.op(v, 'sched_op', SCHEDOP.shutdown, abi.shutdown, { reason }).rc).toBe(0);
    expect(domain.shutdownReason).toBe(reason);
    expect(v.runnable).toBe(false);
    expect(told).toEqual([]);
    expect(f.machine.run(ticks(10))).toBe('finished');
    expect(told).toEqual([domain.id]);
    expect(f.events('domain-shutdown')).toHaveLength(1);
  });

  test('shutdown: unknown reasons fail; shutdown_code has the last word', () => {
    expect(f.op(v, 'sched_op', SCHEDOP.shutdown, abi.shutdown, { reason: 6 }).rc).toBe(-E.INVAL);
    expect(f.op(v, 'sched_op', SCHEDOP.shutdown_code, abi.shutdown, { reason: SHUTDOWN.crash }).rc).toBe(0);
    f.op(v, 'sched_op', SCHEDOP.shutdown, abi.shutdown, { reason: SHUTDOWN.poweroff });
    expect(domain.shutdownReason).toBe(SHUTDOWN.crash);
  });

  test('watchdog: two of them, kept alive, stopped, and one that bites', () => {
    f = new Fixture(width, { slice_ticks: 1e9, timeslice_ticks: 1e9 });
    domain = f.domain();
    v = domain.vcpus[0];
    const dog = (id: number, timeout: number) =>
      f.op(v, 'sched_op', SCHEDOP.watchdog, abi.watchdog, { id, timeout }).rc;
    expect([dog(0, 5), dog(0, 1), dog(0, 1)]).toEqual([1, 2, -E.NOSPC]);
    expect([dog(3, 1), dog(0, 0)]).toEqual([-E.INVAL, -E.INVAL]);
    expect(dog(2, 0)).toBe(0);
    expect(dog(2, 1)).toBe(-E.INVAL);
    expect(dog(1, 2)).toBe(0);
    f.machine.run(ticks(1_999_999_999));
    expect(domain.shutdownReason).toBeUndefined();
    f.machine.run(ticks(2_000_000_001));
    expect(domain.shutdownReason).toBe(SHUTDOWN.watchdog);
  });

  test('what only Domain 0 may, and what is not there', () => {
    expect(
      f.op(v, 'sched_op', SCHEDOP.remote_shutdown, abi.remoteShutdown, { domain_id: domain.id, reason: 0 }).rc,
    ).toBe(-E.PERM);
    expect(f.call(v, 'sched_op', SCHEDOP.pin_override, ARG)).toBe(-E.PERM);
    expect(f.call(v, 'sched_op', 44, ARG)).toBe(-E.NOSYS);
  });

  test('set_timer_op: VIRQ_TIMER at the tick; 0 stops; what is past comes at once; absurd ones in 100 ms', () => {
    const port = domain.events.bindVirq(0, 0);
    const set = (t: bigint) =>
      width === 8 ? f.call(v, 'set_timer_op', t) : f.call(v, 'set_timer_op', t & 0xffffffffn, t >> 32n);
    const pending = () => domain.events.isPending(port);
    expect(set(500n)).toBe(0);
    f.machine.run(ticks(499));
    expect(pending()).toBe(false);
    f.machine.run(ticks(501));
    expect(pending()).toBe(true);
    domain.events.abi.clearPending(port);
    set(900n);
    set(0n);
    f.machine.run(ticks(1000));
    expect(pending()).toBe(false);
    set(3n);
    f.machine.run(ticks(1001));
    expect(pending()).toBe(true);
    set(1n << 62n);
    expect(v.singleshotTimer.deadline).toBe(1001 + 100_000_000);
    set(2n ** 64n - 5n);
    expect(v.singleshotTimer.deadline).toBe(1001 + 100_000_000);
  });
});

describe('scheduling', () => {
  const compute = (f: Fixture, d: Domain) => f.script(d.vcpus[0], function* () {});

  test('domains on one pcpu share it in slices, to the tick', () => {
    const f = new Fixture(8, { timeslice_ticks: 1000, slice_ticks: 300 });
    const domains = [f.domain(), f.domain(), f.domain()];
    for (const d of domains) compute(f, d);
    f.machine.run(ticks(9000));
    expect(domains.map((d) => f.slot(d.vcpus[0]).ran)).toEqual([3000, 3000, 3000]);
    const switches = f.events('context-switch').map((e) => [e.tick, (e as unknown as { toDomain: number }).toDomain]);
    expect(switches.slice(0, 4)).toEqual([
      [0, 1],
      [1000, 2],
      [2000, 3],
      [3000, 1],
    ]);
  });

  test('several pcpus take work from one queue; affinity is kept', () => {
    const f = new Fixture(8, { pcpus: 2, slice_ticks: 100, timeslice_ticks: 500 });
    const domains = [f.domain(), f.domain(), f.domain()];
    f.machine.run(ticks(30_000));
    const ran = domains.map((d) => f.slot(d.vcpus[0]).ran);
    expect(Math.min(...ran)).toBeGreaterThan(8_000);
    expect(ran.reduce((a, b) => a + b)).toBe(30_000);

    const g = new Fixture(8, { pcpus: 2, slice_ticks: 100, timeslice_ticks: 500 });
    const [a, b, c] = [g.domain(), g.domain(), g.domain()];
    for (const d of [a, b]) d.vcpus[0].affinity = 1n;
    c.vcpus[0].affinity = 2n;
    g.machine.run(ticks(30_000));
    expect(g.slot(c.vcpus[0]).ran).toBe(15_000);
    expect(g.slot(a.vcpus[0]).ran + g.slot(b.vcpus[0]).ran).toBe(15_000);
    for (const e of g.events('context-switch')) {
      const { pcpu, toDomain } = e as unknown as { pcpu: number; toDomain: number };
      if (toDomain === c.id) expect(pcpu).toBe(1);
    }
  });

  test('yield hands over at once', () => {
    const f = new Fixture();
    const [a, b] = [f.domain(), f.domain()];
    f.script(a.vcpus[0], function* () {
      for (;;) {
        yield 9;
        yield hypercall(f, a.vcpus[0], 'sched_op', SCHEDOP.yield);
      }
    });
    f.machine.run(ticks(1010));
    expect([f.slot(a.vcpus[0]).ran, f.slot(b.vcpus[0]).ran]).toEqual([10, 1000]);
  });

  test('pause and unpause count; runstates add up to all of the time', () => {
    const f = new Fixture();
    const [a, b] = [f.domain(), f.domain()];
    f.machine.run(ticks(1500));
    f.xen.pause(a);
    f.xen.pause(a);
    f.machine.run(ticks(4000));
    f.xen.unpause(a);
    f.machine.run(ticks(5000));
    expect(f.slot(a.vcpus[0]).ran).toBe(1000);
    f.xen.unpause(a);
    f.machine.run(ticks(8000));
    expect(f.slot(a.vcpus[0]).ran).toBeGreaterThan(1000);
    for (const d of [a, b]) {
      const { time } = f.xen.time.runstate(d.vcpus[0]);
      expect(time.reduce((x, y) => x + y)).toBe(8000n);
      expect(time[0]).toBe(BigInt(f.slot(d.vcpus[0]).ran));
    }
  });

  test('the same domains give the same log, twice', () => {
    const session = () => {
      const f = new Fixture(8, { pcpus: 2, digest_interval_ticks: 700 });
      const [a, b] = [f.domain({ vcpus: 2 }), f.domain()];
      f.xen.initialiseVcpu(a.vcpus[1], a.vcpus[1].start ?? ({ ...DUMMY } as never));
      a.vcpus[1].start = undefined;
      f.xen.vcpuUp(a.vcpus[1]);
      const port = a.events.bindIpi(1);
      f.put(b.vcpus[0], u64, 1n, DATA);
      f.script(a.vcpus[0], function* () {
        for (;;) {
          yield 333;
          yield () => {
            a.events.send(port);
            return f.machine.control.leave ? 1 : 0;
          };
        }
      });
      f.script(a.vcpus[1], function* () {
        for (;;) {
          yield 17;
          yield hypercall(f, a.vcpus[1], 'sched_op', SCHEDOP.yield);
        }
      });
      f.machine.run(ticks(20_000));
      return f.events();
    };
    const [one, two] = [session(), session()];
    expect(one.length).toBeGreaterThan(100);
    expect(two).toEqual(one);
  });
});

const DUMMY = { registers: [], rip: 0n };
