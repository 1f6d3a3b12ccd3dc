import { P2mType } from '../../memory/p2m.ts';
import { E, fail } from '../abi/errno.ts';
import * as abi from '../abi/hvm.ts';
import { HVM_NR_PARAMS, HVMMEM, HVMOP } from '../abi/hvm.ts';
import { getHvmParam, setHvmParam } from '../hvm/params.ts';
import type { Call, Handler } from './call.ts';

/** HYPERVISOR_hvm_op: RDI = sub-operation, RSI = its structure. */
export const hvmOp: Handler = (call) => {
  const op = OPS[call.u32(0)];
  return op ? op(call, call.long(1)) : call.unimplemented(call.u32(0));
};

type Op = (call: Call, arg: bigint) => number;

const OPS: Readonly<Record<number, Op>> = {
  [HVMOP.set_param](call, arg) {
    const a = call.guest.read(abi.hvmParam, arg);
    if (a.index >= HVM_NR_PARAMS) fail(E.INVAL);
    setHvmParam(call, call.target(a.domid), a.index, a.value);
    return 0;
  },
  [HVMOP.get_param](call, arg) {
    const a = call.guest.read(abi.hvmParam, arg);
    if (a.index >= HVM_NR_PARAMS) fail(E.INVAL);
    a.value = getHvmParam(call, call.target(a.domid), a.index);
    call.guest.write(abi.hvmParam, arg, a);
    return 0;
  },
  [HVMOP.set_evtchn_upcall_vector](call, arg) {
    const { vcpu, vector } = call.guest.read(abi.upcallVector, arg);
    if (vector < 0x10) fail(E.INVAL);
    const target = call.domain.vcpus[vcpu] ?? fail(E.NOENT);
    target.upcallVector = vector;
    call.xen.note(`d${call.domain.id}v${vcpu}: upcall vector ${vector.toString(16)}`);
    call.xen.upcall(target);
    return 0;
  },
  [HVMOP.flush_tlbs](call, arg) {
    if (arg !== 0n) fail(E.INVAL);
    call.xen.engine.p2mChanged(call.domain.p2m);
    return 0;
  },
  [HVMOP.get_time](call, arg) {
    call.guest.write(abi.getTime, arg, { now: BigInt(call.xen.now()) });
    return 0;
  },
  /** Nothing to tear down under nested paging, where Xen says -EINVAL too. */
  [HVMOP.pagetable_dying](call, arg) {
    const a = call.guest.read(abi.pagetableDying, arg);
    return call.target(a.domid) === call.domain ? -E.INVAL : -E.OPNOTSUPP;
  },
  [HVMOP.get_mem_type](call, arg) {
    const a = call.guest.read(abi.getMemType, arg);
    const domain = call.ownTarget(a.domid);
    const type = domain.p2m.type(Number(a.pfn & 0xfffffffffffffn));
    a.mem_type = type === P2mType.HOLE ? HVMMEM.mmio_dm : type === P2mType.RAM_RO ? HVMMEM.ram_ro : HVMMEM.ram_rw;
    call.guest.write(abi.getMemType, arg, a);
    return 0;
  },
  /** Nobody monitors: the request goes nowhere, as in Xen without a monitor. */
  [HVMOP.guest_request_vm_event]: (_call, arg) => (arg === 0n ? 0 : -E.INVAL),
  [HVMOP.altp2m]: (call) => call.unimplemented(HVMOP.altp2m, E.OPNOTSUPP),
};
