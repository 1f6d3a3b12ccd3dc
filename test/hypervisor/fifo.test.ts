/** The FIFO event channel ABI, seen from a guest that takes events off its queues as Linux does. */
import { beforeEach, describe, expect, test } from 'vitest';
import * as abi from '../../src/hypervisor/abi/event-channel.ts';
import { EVTCHNOP, FIFO } from '../../src/hypervisor/abi/event-channel.ts';
import { E } from '../../src/hypervisor/abi/errno.ts';
import { DOMID } from '../../src/hypervisor/abi/xen.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import type { Vcpu } from '../../src/hypervisor/vcpu.ts';
import { Fixture, RAM_PAGES, WIDTHS } from './fixture.ts';

/** Frames that the guest gives: control blocks of both vcpus in one page, and words. */
const CONTROL_GFN = 8;
const ARRAY_GFN = 9;
const OFFSETS = [0, 128];

describe.each(WIDTHS)('FIFO event channels, %i-byte longs', (width) => {
  let f: Fixture;
  let domain: Domain;
  let v: Vcpu;
  beforeEach(() => {
    f = new Fixture(width);
    domain = f.domain({ vcpus: 2 });
    v = domain.vcpus[0];
  });

  const init = (vcpu: number, gfn = CONTROL_GFN, offset = OFFSETS[vcpu] ?? 0) =>
    f.op(v, 'event_channel_op', EVTCHNOP.init_control, abi.initControl, {
      control_gfn: BigInt(gfn),
      offset,
      vcpu,
      link_bits: 0,
    });
  const expand = (gfn = ARRAY_GFN) =>
    f.op(v, 'event_channel_op', EVTCHNOP.expand_array, abi.expandArray, { array_gfn: BigInt(gfn) }).rc;
  const priority = (port: number, level: number) =>
    f.op(v, 'event_channel_op', EVTCHNOP.set_priority, abi.setPriority, { port, priority: level }).rc;
  const onPort = (sub: number, port: number) => f.op(v, 'event_channel_op', sub, abi.portOnly, { port }).rc;
  const ipi = (vcpu = 0) => f.op(v, 'event_channel_op', EVTCHNOP.bind_ipi, abi.bindIpi, { vcpu, port: 0 }).out.port;
  const word = (port: number) => domain.physical.readU32(ARRAY_GFN * 4096 + 4 * port);
  const setWord = (port: number, value: number) => domain.physical.writeU32(ARRAY_GFN * 4096 + 4 * port, value >>> 0);
  const control = (vcpu: number, at: number) => CONTROL_GFN * 4096 + OFFSETS[vcpu] + at;
  const ready = (vcpu = 0) => domain.physical.readU32(control(vcpu, 0));

  /** Takes all events of a vcpu, most urgent first. */
  function take(vcpu = 0): number[] {
    const taken: number[] = [];
    for (let bits = ready(vcpu); bits !== 0; bits = ready(vcpu)) {
      const queue = 31 - Math.clz32(bits & -bits);
      domain.physical.writeU32(control(vcpu, 0), (bits & ~(1 << queue)) >>> 0);
      let port = domain.physical.readU32(control(vcpu, FIFO.HEADS + 4 * queue));
      while (port !== 0) {
        const value = word(port);
        setWord(port, value & ~(FIFO.LINKED | FIFO.LINK_MASK | FIFO.PENDING));
        if ((value & FIFO.PENDING) !== 0) taken.push(port);
        port = value & FIFO.LINK_MASK;
      }
      domain.physical.writeU32(control(vcpu, FIFO.HEADS + 4 * queue), 0);
    }
    return taken;
  }

  test('errors are those of Xen', () => {
    expect(expand()).toBe(-E.OPNOTSUPP);
    expect(priority(1, 0)).toBe(-E.NOSYS);
    expect(init(2).rc).toBe(-E.NOENT);
    expect(init(0, CONTROL_GFN, 4096 - 64).rc).toBe(-E.INVAL);
    expect(init(0, CONTROL_GFN, 4).rc).toBe(-E.INVAL);
    expect(init(0, RAM_PAGES).rc).toBe(-E.INVAL);
    expect(domain.events.fifo).toBeUndefined();
    expect(init(0)).toMatchObject({ rc: 0, out: { link_bits: 17 } });
    expect(init(0).rc).toBe(-E.INVAL);
    expect(expand(RAM_PAGES)).toBe(-E.INVAL);
    expect(expand()).toBe(0);
    expect(priority(1, 16)).toBe(-E.INVAL);
    expect(priority(5000, 1)).toBe(-E.INVAL);
  });

  test('events come in the order they were sent, each once', () => {
    init(0);
    expand();
    const ports = [ipi(), ipi(), ipi()];
    for (const port of [ports[2], ports[0], ports[2], ports[1]]) onPort(EVTCHNOP.send, port);
    expect(take()).toEqual([ports[2], ports[0], ports[1]]);
    expect(take()).toEqual([]);
    onPort(EVTCHNOP.send, ports[1]);
    expect(take()).toEqual([ports[1]]);
    expect(f.events('evtchn-pending')).toHaveLength(4);
  });

  test('urgent ones first', () => {
    init(0);
    expand();
    const ports = [ipi(), ipi(), ipi()];
    expect(priority(ports[1], 0)).toBe(0);
    expect(priority(ports[0], 15)).toBe(0);
    for (const port of ports) onPort(EVTCHNOP.send, port);
    expect(ready()).toBe(1 | (1 << 7) | (1 << 15));
    expect(take()).toEqual([ports[1], ports[2], ports[0]]);
  });

  test('the vcpu is told when a queue begins', () => {
    init(0);
    init(1);
    expand();
    const port = ipi(1);
    onPort(EVTCHNOP.send, port);
    expect([v.info.u8(0), domain.vcpus[1].info.u8(0)]).toEqual([0, 1]);
    expect(take(1)).toEqual([port]);
  });

  test('a masked one waits, and is linked when it is unmasked', () => {
    init(0);
    expand();
    const port = ipi();
    setWord(port, FIFO.MASKED);
    onPort(EVTCHNOP.send, port);
    expect([word(port), ready()]).toEqual([(FIFO.PENDING | FIFO.MASKED) >>> 0, 0]);
    expect(onPort(EVTCHNOP.unmask, port)).toBe(0);
    expect(take()).toEqual([port]);
  });

  test('what was pending before comes along', () => {
    const port = ipi();
    onPort(EVTCHNOP.send, port);
    init(0);
    expect(ready()).toBe(0);
    expand();
    expect(take()).toEqual([port]);
  });

  test('a port moved to another vcpu does not drag its old queue along', () => {
    init(0);
    init(1);
    expand();
    const { port } = f.op(v, 'event_channel_op', EVTCHNOP.alloc_unbound, abi.allocUnbound, {
      dom: DOMID.SELF,
      remote_dom: DOMID.SELF,
      port: 0,
    }).out;
    const peer = f.op(v, 'event_channel_op', EVTCHNOP.bind_interdomain, abi.bindInterdomain, {
      remote_dom: DOMID.SELF,
      remote_port: port,
      local_port: 0,
    }).out.local_port;
    take();
    onPort(EVTCHNOP.send, peer);
    expect(take()).toEqual([port]);
    f.op(v, 'event_channel_op', EVTCHNOP.bind_vcpu, abi.bindVcpu, { port, vcpu: 1 });
    onPort(EVTCHNOP.send, peer);
    const other = ipi();
    onPort(EVTCHNOP.send, other);
    expect([take(0), take(1)]).toEqual([[other], [port]]);
  });

  test('a tail that the guest spoiled harms nobody', () => {
    init(0);
    expand();
    const ports = [ipi(), ipi()];
    onPort(EVTCHNOP.send, ports[0]);
    domain.physical.write(ARRAY_GFN * 4096, new Uint8Array(4096).fill(0xff));
    expect(onPort(EVTCHNOP.send, ports[1])).toBe(0);
    setWord(ports[1], 0);
    expect(onPort(EVTCHNOP.send, ports[1])).toBe(0);
    expect(onPort(EVTCHNOP.close, ports[0])).toBe(0);
  });

  test('saved and put back, queues go on; a reset returns to the two-level ABI', () => {
    init(0);
    expand();
    const ports = [ipi(), ipi()];
    priority(ports[1], 3);
    onPort(EVTCHNOP.send, ports[0]);
    const saved = structuredClone(domain.events.save());
    domain.events.restore(saved);
    expect(domain.events.save()).toEqual(saved);
    onPort(EVTCHNOP.send, ports[1]);
    expect(take()).toEqual([ports[1], ports[0]]);
    domain.events.reset();
    expect([domain.events.fifo, f.xen.refs.save().uses]).toEqual([undefined, []]);
  });
});
