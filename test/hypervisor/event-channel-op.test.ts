import { beforeEach, describe, expect, test } from 'vitest';
import * as abi from '../../src/hypervisor/abi/event-channel.ts';
import { EVTCHNOP, EVTCHNSTAT } from '../../src/hypervisor/abi/event-channel.ts';
import { E } from '../../src/hypervisor/abi/errno.ts';
import { DOMID, VIRQ } from '../../src/hypervisor/abi/xen.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import type { Vcpu } from '../../src/hypervisor/vcpu.ts';
import { ARG, Fixture, HOLE, WIDTHS } from './fixture.ts';

describe.each(WIDTHS)('event_channel_op from a caller with %i-byte longs', (width) => {
  let f: Fixture;
  let domain: Domain;
  let v: Vcpu;
  beforeEach(() => {
    f = new Fixture(width);
    domain = f.domain({ vcpus: 2 });
    v = domain.vcpus[0];
  });
  const alloc = (remote: number, dom: number = DOMID.SELF) =>
    f.op(v, 'event_channel_op', EVTCHNOP.alloc_unbound, abi.allocUnbound, { dom, remote_dom: remote, port: 0 });
  const status = (port: number) => {
    const u = { number: 0 };
    return f.op(v, 'event_channel_op', EVTCHNOP.status, abi.status, { dom: DOMID.SELF, port, status: 99, vcpu: 99, u });
  };
  const onPort = (sub: number, port: number) => f.op(v, 'event_channel_op', sub, abi.portOnly, { port }).rc;
  const pendingBit = (port: number) => domain.shared!.bit(domain.offsets.pending, port);

  test('alloc_unbound: lowest free port from 1, its status, other domains are none of its business', () => {
    expect(alloc(7)).toMatchObject({ rc: 0, out: { port: 1 } });
    expect(alloc(DOMID.SELF)).toMatchObject({ rc: 0, out: { port: 2 } });
    expect(status(1)).toMatchObject({
      rc: 0,
      out: { status: EVTCHNSTAT.unbound, vcpu: 0, u: { unbound: { dom: 7 } } },
    });
    expect(status(2).out.u.unbound).toEqual({ dom: domain.id });
    const other = f.domain();
    expect(alloc(0, other.id).rc).toBe(-E.PERM);
    expect(alloc(0, 999).rc).toBe(-E.SRCH);
    expect(f.call(v, 'event_channel_op', EVTCHNOP.alloc_unbound, HOLE)).toBe(-E.FAULT);
  });

  test('ports end at the ABI limit of the width or the domain, with -ENOSPC', () => {
    const big = f.domain({ maxEventChannel: 100_000 });
    f.width = width;
    let port = 0;
    const one = () =>
      f.op(big.vcpus[0], 'event_channel_op', EVTCHNOP.alloc_unbound, abi.allocUnbound, {
        dom: DOMID.SELF,
        remote_dom: 0,
        port: 0,
      });
    for (;;) {
      const { rc, out } = one();
      if (rc !== 0) {
        expect(rc).toBe(-E.NOSPC);
        break;
      }
      port = out.port;
    }
    expect(port).toBe(width === 8 ? 4095 : 1023);
    const small = f.domain({ maxEventChannel: 3 });
    for (let i = 1; i <= 3; i++) small.events.allocUnbound(0);
    expect(f.xen.errno(() => small.events.allocUnbound(0))).toBe(E.NOSPC);
  });

  test('interdomain: bind marks the binder pending, send reaches the other side, close leaves it unbound', () => {
    const peer = f.domain();
    const remotePort = peer.events.allocUnbound(domain.id);
    const bind = (remote_dom: number, remote_port: number) =>
      f.op(v, 'event_channel_op', EVTCHNOP.bind_interdomain, abi.bindInterdomain, {
        remote_dom,
        remote_port,
        local_port: 0,
      });
    expect(bind(peer.id, 40).rc).toBe(-E.INVAL);
    expect(bind(peer.id, 4000).rc).toBe(-E.INVAL);
    expect(bind(777, 1).rc).toBe(-E.SRCH);
    const { rc, out } = bind(peer.id, remotePort);
    expect([rc, out.local_port]).toEqual([0, 1]);
    expect(pendingBit(1)).toBe(true);
    expect(bind(peer.id, remotePort).rc).toBe(-E.INVAL);
    expect(status(1).out).toMatchObject({
      status: EVTCHNSTAT.interdomain,
      u: { interdomain: { dom: peer.id, port: remotePort } },
    });

    expect(peer.shared!.bit(peer.offsets.pending, remotePort)).toBe(false);
    expect(onPort(EVTCHNOP.send, 1)).toBe(0);
    expect(peer.shared!.bit(peer.offsets.pending, remotePort)).toBe(true);

    expect(onPort(EVTCHNOP.close, 1)).toBe(0);
    expect(pendingBit(1)).toBe(false);
    expect(status(1).out.status).toBe(EVTCHNSTAT.closed);
    expect(peer.events.get(remotePort)).toMatchObject({ kind: 'unbound', remoteDomain: domain.id });
    expect(onPort(EVTCHNOP.close, 1)).toBe(-E.INVAL);
    expect(onPort(EVTCHNOP.close, 0)).toBe(-E.INVAL);
    expect(onPort(EVTCHNOP.send, 1)).toBe(-E.INVAL);
    expect(onPort(EVTCHNOP.send, 5000)).toBe(-E.INVAL);
  });

  test('only the domain that a port waits for may bind it', () => {
    const peer = f.domain();
    const port = peer.events.allocUnbound(0);
    expect(f.xen.errno(() => domain.events.bindInterdomain(peer, port))).toBe(E.INVAL);
  });

  test('sending into an unbound port is dropped silently', () => {
    alloc(0);
    expect(onPort(EVTCHNOP.send, 1)).toBe(0);
    expect(pendingBit(1)).toBe(false);
  });

  test('bind_virq: per vcpu and global ones', () => {
    const bind = (virq: number, vcpu: number) =>
      f.op(v, 'event_channel_op', EVTCHNOP.bind_virq, abi.bindVirq, { virq, vcpu, port: 0 });
    expect(bind(VIRQ.TIMER, 1)).toMatchObject({ rc: 0, out: { port: 1 } });
    expect(bind(VIRQ.TIMER, 1).rc).toBe(-E.EXIST);
    expect(bind(VIRQ.TIMER, 0)).toMatchObject({ rc: 0, out: { port: 2 } });
    expect(bind(VIRQ.CONSOLE, 1).rc).toBe(-E.INVAL);
    expect(bind(24, 0).rc).toBe(-E.INVAL);
    expect(bind(VIRQ.TIMER, 2).rc).toBe(-E.NOENT);
    expect(status(1).out).toMatchObject({ status: EVTCHNSTAT.virq, vcpu: 1, u: { number: VIRQ.TIMER } });
    expect(domain.events.sendVirq(domain.vcpus[1], VIRQ.TIMER)).toBe(true);
    expect([pendingBit(1), pendingBit(2)]).toEqual([true, false]);
    expect(onPort(EVTCHNOP.close, 1)).toBe(0);
    expect(bind(VIRQ.TIMER, 1)).toMatchObject({ rc: 0, out: { port: 1 } });
  });

  test('bind_ipi: sending sets its own port pending on its vcpu', () => {
    const bind = (vcpu: number) => f.op(v, 'event_channel_op', EVTCHNOP.bind_ipi, abi.bindIpi, { vcpu, port: 0 });
    expect(bind(1)).toMatchObject({ rc: 0, out: { port: 1 } });
    expect(bind(9).rc).toBe(-E.NOENT);
    expect(onPort(EVTCHNOP.send, 1)).toBe(0);
    expect(pendingBit(1)).toBe(true);
    expect(domain.vcpus[1].info.u8(0)).toBe(1);
    expect(domain.vcpus[0].info.u8(0)).toBe(0);
  });

  test('bind_vcpu moves what can be moved', () => {
    alloc(0);
    f.op(v, 'event_channel_op', EVTCHNOP.bind_ipi, abi.bindIpi, { vcpu: 0, port: 0 });
    f.op(v, 'event_channel_op', EVTCHNOP.bind_virq, abi.bindVirq, { virq: VIRQ.TIMER, vcpu: 0, port: 0 });
    f.op(v, 'event_channel_op', EVTCHNOP.bind_virq, abi.bindVirq, { virq: VIRQ.ARGO, vcpu: 0, port: 0 });
    const bind = (port: number, vcpu: number) =>
      f.op(v, 'event_channel_op', EVTCHNOP.bind_vcpu, abi.bindVcpu, { port, vcpu }).rc;
    expect([bind(1, 1), bind(2, 1), bind(3, 1), bind(4, 1)]).toEqual([0, -E.INVAL, -E.INVAL, 0]);
    expect([bind(1, 2), bind(9999, 1)]).toEqual([-E.NOENT, -E.INVAL]);
    expect(status(1).out.vcpu).toBe(1);
  });

  test('mask and unmask: a masked event waits; unmask delivers it', () => {
    f.op(v, 'event_channel_op', EVTCHNOP.bind_ipi, abi.bindIpi, { vcpu: 0, port: 0 });
    domain.shared!.setBit(domain.offsets.mask, 1);
    onPort(EVTCHNOP.send, 1);
    expect(pendingBit(1)).toBe(true);
    expect(v.info.u8(0)).toBe(0);
    expect(onPort(EVTCHNOP.unmask, 1)).toBe(0);
    expect(domain.shared!.bit(domain.offsets.mask, 1)).toBe(false);
    expect(v.info.u8(0)).toBe(1);
    expect(v.info.bit(domain.offsets.selector, 0)).toBe(true);
    expect(onPort(EVTCHNOP.unmask, 100_000)).toBe(-E.INVAL);
  });

  test('the selector word of a high port follows the width', () => {
    for (let i = 0; i < 70; i++) f.op(v, 'event_channel_op', EVTCHNOP.bind_ipi, abi.bindIpi, { vcpu: 0, port: 0 });
    onPort(EVTCHNOP.send, 70);
    expect(v.info.bit(domain.offsets.selector, width === 8 ? 1 : 2)).toBe(true);
  });

  test('an upcall flag that is up is not raised again', () => {
    for (let i = 0; i < 2; i++) f.op(v, 'event_channel_op', EVTCHNOP.bind_ipi, abi.bindIpi, { vcpu: 0, port: 0 });
    domain.callbackVector = 0xf3;
    onPort(EVTCHNOP.send, 1);
    onPort(EVTCHNOP.send, 2);
    onPort(EVTCHNOP.send, 1);
    expect(f.events('interrupt-raise')).toHaveLength(1);
    expect(f.events('evtchn-pending').map((e) => (e as unknown as { port: number }).port)).toEqual([1, 2]);
    expect(f.events('evtchn-send')).toHaveLength(3);
  });

  test('reset closes everything', () => {
    alloc(0);
    f.op(v, 'event_channel_op', EVTCHNOP.bind_virq, abi.bindVirq, { virq: VIRQ.TIMER, vcpu: 0, port: 0 });
    expect(f.op(v, 'event_channel_op', EVTCHNOP.reset, abi.reset, { dom: DOMID.SELF }).rc).toBe(0);
    expect([status(1).out.status, status(2).out.status]).toEqual([EVTCHNSTAT.closed, EVTCHNSTAT.closed]);
    expect(v.virqPorts[VIRQ.TIMER]).toBe(0);
    expect(f.op(v, 'event_channel_op', EVTCHNOP.reset, abi.reset, { dom: f.domain().id }).rc).toBe(-E.PERM);
  });

  test('status of a foreign domain, and of what does not exist', () => {
    expect(status(63).out.status).toBe(EVTCHNSTAT.closed);
    expect(status(64).rc).toBe(-E.INVAL);
    f.put(v, abi.status, { dom: f.domain().id, port: 1, status: 0, vcpu: 0, u: { number: 0 } });
    expect(f.call(v, 'event_channel_op', EVTCHNOP.status, ARG)).toBe(-E.PERM);
  });

  test('what is not there says so: pirqs, unknown numbers', () => {
    expect(f.op(v, 'event_channel_op', EVTCHNOP.bind_pirq, abi.bindPirq, { pirq: 1, flags: 0, port: 0 }).rc).toBe(
      -E.PERM,
    );
    for (const sub of [99, -1]) {
      expect(f.call(v, 'event_channel_op', sub, ARG)).toBe(-E.NOSYS);
    }
    expect(f.events('unimplemented')).toHaveLength(3);
  });
});

describe('services of Domain 0', () => {
  test('run at the next turn boundary, once for all notifications until then', () => {
    const f = new Fixture();
    const domain = f.domain();
    const port = f.control.allocUnbound(domain.id, 0);
    const seen: number[] = [];
    const local = f.control.bindService(domain.id, port, () => seen.push(f.machine.now()));
    f.machine.run(10 as never);
    expect(seen).toEqual([0]); // binding marks the port pending
    domain.events.send(port);
    domain.events.send(port);
    expect(seen).toEqual([0]);
    f.machine.run(20 as never);
    expect(seen).toEqual([0, 10]);
    f.control.notify(local);
    expect(domain.shared!.bit(domain.offsets.pending, port)).toBe(true);
    f.control.closeService(local);
    domain.events.send(port);
    f.machine.run(30 as never);
    expect(seen).toEqual([0, 10]);
    expect(domain.events.get(port).kind).toBe('unbound');
  });
});
