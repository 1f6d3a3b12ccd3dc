import { type Ticks, ticks } from '../../base/ticks.ts';
import { KIND, TIMERS } from '../../log/kinds.ts';
import { E, fail } from '../abi/errno.ts';
import * as abi from '../abi/sched.ts';
import { SCHEDOP, SHUTDOWN } from '../abi/sched.ts';
import { u32 } from '../abi/struct.ts';
import type { Call, Handler } from './call.ts';

const POLL_TIMER = TIMERS.indexOf('poll');
/** Xen polls at most this many ports. */
const MAX_POLL_PORTS = 128;

/** HYPERVISOR_sched_op: RDI = sub-operation, RSI = its structure. */
export const schedOp: Handler = (call) => {
  const op = OPS[call.i32(0)];
  return op ? op(call, call.long(1)) : call.unimplemented(call.i32(0));
};

type Op = (call: Call, arg: bigint) => number;

const OPS: Readonly<Record<number, Op>> = {
  [SCHEDOP.yield](call) {
    call.xen.scheduling.yield(call.vcpu);
    return 0;
  },
  [SCHEDOP.block](call) {
    call.xen.blockVcpu(call.vcpu);
    return 0;
  },
  [SCHEDOP.shutdown](call, arg) {
    const { reason } = call.guest.read(abi.shutdown, arg);
    return call.xen.shutdown(call.domain, checkReason(reason));
  },
  [SCHEDOP.shutdown_code](call, arg) {
    const { reason } = call.guest.read(abi.shutdown, arg);
    call.domain.shutdownCode = checkReason(reason);
    return 0;
  },
  [SCHEDOP.poll]: poll,
  [SCHEDOP.remote_shutdown](call, arg) {
    const a = call.guest.read(abi.remoteShutdown, arg);
    const domain = call.target(a.domain_id);
    if (!call.privileged) fail(E.PERM);
    return call.xen.shutdown(domain, checkReason(a.reason));
  },
  [SCHEDOP.watchdog](call, arg) {
    const { id, timeout } = call.guest.read(abi.watchdog, arg);
    return call.xen.watchdogs.set(call.domain, id, timeout);
  },
  /** Only the hardware domain may pin itself. */
  [SCHEDOP.pin_override]: () => -E.PERM,
};

function checkReason(reason: number): number {
  return reason > SHUTDOWN.MAX ? fail(E.INVAL) : reason;
}

/** Blocks until one of the ports is pending or the timeout, an absolute system time, has come. */
function poll(call: Call, arg: bigint): number {
  const { guest, vcpu, domain, xen } = call;
  const a = guest.read(abi.poll, arg);
  if (a.nr_ports > MAX_POLL_PORTS) fail(E.INVAL);
  const ports: number[] = [];
  for (let i = 0; i < a.nr_ports; i++) ports.push(guest.read(u32, a.ports + BigInt(4 * i)));
  if (xen.eventsNeedDelivery(vcpu)) return 0;
  for (const port of ports) {
    if (!domain.events.exists(port) || port >= domain.events.abi.maxPorts) fail(E.INVAL);
    if (domain.events.isPending(port)) return 0;
  }
  vcpu.polling = true;
  vcpu.pollPort = ports.length === 1 ? ports[0] : 0;
  if (a.timeout !== 0n) {
    const deadline = laterTick(a.timeout);
    xen.log.append(KIND['timer-set'], POLL_TIMER, deadline, Math.floor(deadline / 0x1_0000_0000));
    vcpu.pollTimer.set(deadline);
  }
  xen.scheduling.block(vcpu);
  return 0;
}

/** A system time in nanoseconds as a tick; what is beyond the clock's range never comes. */
export function laterTick(ns: bigint): Ticks {
  return ns > BigInt(Number.MAX_SAFE_INTEGER) ? (Number.MAX_SAFE_INTEGER as Ticks) : ticks(Number(ns));
}
