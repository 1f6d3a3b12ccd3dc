import { ticks } from '../../base/ticks.ts';
import { PAGE_SIZE } from '../../memory/frames.ts';
import { E, fail } from '../abi/errno.ts';
import * as hvm from '../abi/hvm.ts';
import * as abi from '../abi/vcpu.ts';
import { VCPUOP } from '../abi/vcpu.ts';
import { VCPU_INFO_BYTES } from '../abi/xen.ts';
import { FrameView } from '../frame-view.ts';
import { markEventsPending } from '../event-channel/two-level.ts';
import { startState32, startState64 } from '../hvm/start-state.ts';
import type { Vcpu } from '../vcpu.ts';
import type { Call, Handler } from './call.ts';
import { laterTick } from './sched-op.ts';

const MS = 1_000_000n;
/** Longest period Xen takes: 2^56 ns and some years. */
const PERIOD_MAX = 1n << 56n;

/** HYPERVISOR_vcpu_op: RDI = sub-operation, RSI = vcpu number, RDX = its structure. */
export const vcpuOp: Handler = (call) => {
  const vcpu = call.domain.vcpus[call.u32(1)];
  if (!vcpu) return -E.NOENT;
  const op = OPS[call.i32(0)];
  return op ? op(call, vcpu, call.long(2)) : call.unimplemented(call.i32(0));
};

type Op = (call: Call, vcpu: Vcpu, arg: bigint) => number;

const OPS: Readonly<Record<number, Op>> = {
  [VCPUOP.initialise]: initialise,
  [VCPUOP.up](call, vcpu) {
    if (!vcpu.initialised) return -E.INVAL;
    call.xen.vcpuUp(vcpu);
    return 0;
  },
  [VCPUOP.down](call, vcpu) {
    call.xen.vcpuDown(vcpu);
    return 0;
  },
  [VCPUOP.is_up]: (_call, vcpu) => (vcpu.online ? 1 : 0),
  [VCPUOP.get_runstate_info](call, vcpu, arg) {
    call.guest.write(abi.runstateInfo, arg, call.xen.time.runstate(vcpu));
    return 0;
  },
  [VCPUOP.register_runstate_memory_area](call, vcpu, arg) {
    const { addr } = call.guest.read(abi.memoryArea, arg);
    vcpu.runstateArea = { address: addr, width: call.guest.width };
    call.guest.write(abi.runstateInfo, addr, call.xen.time.runstate(vcpu));
    return 0;
  },
  [VCPUOP.register_vcpu_time_memory_area](call, vcpu, arg) {
    const { addr } = call.guest.read(abi.memoryArea, arg);
    vcpu.timeArea = { address: addr, width: call.guest.width };
    if (vcpu === call.vcpu) call.xen.time.publishTime(vcpu, true);
    else vcpu.timeOffset = undefined; // published when it next runs
    return 0;
  },
  [VCPUOP.set_periodic_timer](call, vcpu, arg) {
    const { period_ns } = call.guest.read(abi.periodicTimer, arg);
    if (period_ns < MS || period_ns > PERIOD_MAX) return -E.INVAL;
    call.xen.timers.setPeriodic(vcpu, Number(period_ns));
    return 0;
  },
  [VCPUOP.stop_periodic_timer](call, vcpu) {
    call.xen.timers.setPeriodic(vcpu, 0);
    return 0;
  },
  [VCPUOP.set_singleshot_timer](call, vcpu, arg) {
    if (vcpu !== call.vcpu) return -E.INVAL;
    const { timeout_abs_ns } = call.guest.read(abi.singleshotTimer, arg);
    // Xen 4.17 fires a timer of the past at once, whatever VCPU_SSHOTTMR_future says.
    if (timeout_abs_ns < BigInt(call.xen.now())) call.xen.timers.fireSingleshot(vcpu, ticks(Number(timeout_abs_ns)));
    else call.xen.timers.setSingleshot(vcpu, laterTick(timeout_abs_ns));
    return 0;
  },
  [VCPUOP.stop_singleshot_timer](call, vcpu) {
    if (vcpu !== call.vcpu) return -E.INVAL;
    vcpu.singleshotTimer.cancel();
    return 0;
  },
  [VCPUOP.register_vcpu_info]: registerVcpuInfo,
  /** The hardware domain's, when it is pinned. */
  [VCPUOP.get_physid]: () => -E.INVAL,
  [VCPUOP.send_nmi](call, vcpu) {
    vcpu.nmiPending = true;
    call.xen.kick(vcpu);
    return 0;
  },
};

/** A vcpu_hvm_context: where and how another vcpu starts. It stays down until VCPUOP_up. */
function initialise(call: Call, vcpu: Vcpu, arg: bigint): number {
  const { guest } = call;
  const { mode, pad } = guest.read(hvm.vcpuHvmMode, arg);
  if (vcpu.initialised) return -E.EXIST;
  if (pad !== 0) return -E.INVAL;
  const start =
    mode === hvm.HVM_MODE.B32
      ? startState32(guest.read(hvm.vcpuHvmX86_32, arg + 8n))
      : mode === hvm.HVM_MODE.B64
        ? startState64(guest.read(hvm.vcpuHvmX86_64, arg + 8n))
        : fail(E.INVAL);
  call.xen.initialiseVcpu(vcpu, start);
  return 0;
}

function registerVcpuInfo(call: Call, vcpu: Vcpu, arg: bigint): number {
  const { mfn: gfn, offset } = call.guest.read(abi.registerVcpuInfo, arg);
  const { domain } = call;
  if (offset > PAGE_SIZE - VCPU_INFO_BYTES || offset % domain.width !== 0) return -E.NXIO;
  if (vcpu.infoRegistered || (vcpu !== call.vcpu && vcpu.online)) return -E.INVAL;
  const mfn = gfn < 1n << 40n ? domain.p2m.mfn(Number(gfn)) : -1;
  if (mfn < 0 || !domain.p2m.isWritable(Number(gfn)) || call.xen.physmap.isGrant(domain, Number(gfn))) return -E.INVAL;
  const info = new FrameView(call.xen.engine, mfn, offset, VCPU_INFO_BYTES);
  info.bytes().set(vcpu.info.bytes());
  info.touched();
  vcpu.info = info;
  vcpu.infoRegistered = true;
  call.xen.refs.get(mfn); // the frame stays as long as the domain lives
  // All events count as pending, so that none is lost by the move.
  const at = domain.offsets.selector;
  info.setU32(at, 0xffffffff);
  if (domain.width === 8) info.setU32(at + 4, 0xffffffff);
  markEventsPending(vcpu, (v) => call.xen.upcall(v));
  if (vcpu === call.vcpu) call.xen.time.publishTime(vcpu, true);
  else vcpu.timeOffset = undefined;
  return 0;
}
