import { PAGE_SIZE } from '../../memory/frames.ts';
import { E } from '../abi/errno.ts';
import * as abi from '../abi/event-channel.ts';
import { EVTCHNOP, EVTCHNSTAT, FIFO } from '../abi/event-channel.ts';
import { DOMID } from '../abi/xen.ts';
import { KIND } from '../../log/kinds.ts';
import type { Call, Handler } from './call.ts';

/** HYPERVISOR_event_channel_op: RDI = sub-operation, RSI = its structure. */
export const eventChannelOp: Handler = (call) => {
  const op = OPS[call.i32(0)];
  return op ? op(call, call.long(1)) : call.unimplemented(call.i32(0));
};

type Op = (call: Call, arg: bigint) => number;

const OPS: Readonly<Record<number, Op>> = {
  [EVTCHNOP.alloc_unbound](call, arg) {
    const a = call.guest.read(abi.allocUnbound, arg);
    const domain = call.ownTarget(a.dom);
    a.port = domain.events.allocUnbound(a.remote_dom === DOMID.SELF ? call.domain.id : a.remote_dom);
    call.guest.write(abi.allocUnbound, arg, a);
    return 0;
  },
  [EVTCHNOP.bind_interdomain](call, arg) {
    const a = call.guest.read(abi.bindInterdomain, arg);
    a.local_port = call.domain.events.bindInterdomain(call.target(a.remote_dom), a.remote_port);
    call.guest.write(abi.bindInterdomain, arg, a);
    return 0;
  },
  [EVTCHNOP.bind_virq](call, arg) {
    const a = call.guest.read(abi.bindVirq, arg);
    a.port = call.domain.events.bindVirq(a.virq, a.vcpu);
    call.guest.write(abi.bindVirq, arg, a);
    return 0;
  },
  [EVTCHNOP.bind_ipi](call, arg) {
    const a = call.guest.read(abi.bindIpi, arg);
    a.port = call.domain.events.bindIpi(a.vcpu);
    call.guest.write(abi.bindIpi, arg, a);
    return 0;
  },
  /** No domain has physical interrupts here; Xen says -EPERM to an HVM guest without pirqs. */
  [EVTCHNOP.bind_pirq](call, arg) {
    call.guest.read(abi.bindPirq, arg);
    return call.unimplemented(EVTCHNOP.bind_pirq, E.PERM);
  },
  [EVTCHNOP.close](call, arg) {
    call.domain.events.close(call.guest.read(abi.portOnly, arg).port);
    return 0;
  },
  [EVTCHNOP.send](call, arg) {
    const { port } = call.guest.read(abi.portOnly, arg);
    call.xen.log.append(KIND['evtchn-send'], port);
    call.domain.events.send(port);
    return 0;
  },
  [EVTCHNOP.status]: status,
  [EVTCHNOP.bind_vcpu](call, arg) {
    const a = call.guest.read(abi.bindVcpu, arg);
    call.domain.events.bindVcpu(a.port, a.vcpu);
    return 0;
  },
  [EVTCHNOP.unmask](call, arg) {
    call.domain.events.unmask(call.guest.read(abi.portOnly, arg).port);
    return 0;
  },
  [EVTCHNOP.reset](call, arg) {
    const domain = call.ownTarget(call.guest.read(abi.reset, arg).dom);
    if (domain !== call.domain && domain.pauseCount === 0) return -E.INVAL;
    domain.events.reset();
    return 0;
  },
  [EVTCHNOP.init_control](call, arg) {
    const a = call.guest.read(abi.initControl, arg);
    a.link_bits = FIFO.LINK_BITS;
    if (!call.domain.vcpus[a.vcpu]) return -E.NOENT;
    if (a.offset > PAGE_SIZE - FIFO.CONTROL_BYTES || a.offset % 8 !== 0) return -E.INVAL;
    call.domain.events.initControl(a.vcpu, a.control_gfn, a.offset);
    call.guest.write(abi.initControl, arg, a);
    return 0;
  },
  [EVTCHNOP.expand_array](call, arg) {
    call.domain.events.expandArray(call.guest.read(abi.expandArray, arg).array_gfn);
    return 0;
  },
  [EVTCHNOP.set_priority](call, arg) {
    const { port, priority } = call.guest.read(abi.setPriority, arg);
    call.domain.events.setPriority(port, priority);
    return 0;
  },
};

function status(call: Call, arg: bigint): number {
  const { dom, port } = call.guest.read(abi.status, arg);
  const domain = call.ownTarget(dom);
  const channel = domain.events.get(port);
  const remote = channel.remoteDomain;
  const u =
    channel.kind === 'unbound'
      ? { unbound: { dom: remote } }
      : channel.kind === 'interdomain'
        ? { interdomain: { dom: remote, port: channel.remotePort } }
        : { number: channel.virq };
  const kind = channel.kind === 'free' || channel.kind === 'reserved' ? 'closed' : channel.kind;
  call.guest.write(abi.status, arg, { dom, port, status: EVTCHNSTAT[kind], vcpu: channel.vcpu, u });
  return 0;
}
