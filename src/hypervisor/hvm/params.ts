import { E, fail } from '../abi/errno.ts';
import { CALLBACK, HVM_PARAM as P } from '../abi/hvm.ts';
import { SHUTDOWN } from '../abi/sched.ts';
import type { Domain } from '../domain.ts';
import type { Call } from '../hypercalls/call.ts';

/** What a guest may do with each of its own parameters (hvm_allow_set_param, hvm_allow_get_param). */
const GUEST_MAY_SET: readonly number[] = [
  P.CALLBACK_IRQ,
  P.VM86_TSS,
  P.VM86_TSS_SIZED,
  P.ACPI_IOPORTS_LOCATION,
  P.VM_GENERATION_ID_ADDR,
  P.STORE_EVTCHN,
  P.CONSOLE_EVTCHN,
  P.X87_FIP_WIDTH,
];
const GUEST_MAY_GET: readonly number[] = [...GUEST_MAY_SET, P.STORE_PFN, P.CONSOLE_PFN, P.ALTP2M];
const DEPRECATED: readonly number[] = [
  P.PAE_ENABLED,
  P.DM_DOMAIN,
  P.MEMORY_EVENT_CR0,
  P.MEMORY_EVENT_CR3,
  P.MEMORY_EVENT_CR4,
  P.MEMORY_EVENT_INT3,
  P.NESTEDHVM,
  P.MEMORY_EVENT_SINGLE_STEP,
  P.BUFIOREQ_EVTCHN,
  P.MEMORY_EVENT_MSR,
];
const ONLY_ONCE: readonly number[] = [
  P.IOREQ_PFN,
  P.BUFIOREQ_PFN,
  P.IOREQ_SERVER_PFN,
  P.NR_IOREQ_SERVER_PAGES,
  P.ALTP2M,
  P.MCA_CAP,
];

function checkTarget(call: Call, domain: Domain): void {
  if (domain !== call.domain && !call.privileged) fail(E.PERM);
}

/** HVMOP_get_param. @throws Errno EPERM for another's or a hidden parameter, EINVAL for a deprecated one */
export function getHvmParam(call: Call, domain: Domain, index: number): bigint {
  checkTarget(call, domain);
  if (DEPRECATED.includes(index)) fail(E.INVAL);
  if (domain === call.domain && !GUEST_MAY_GET.includes(index)) fail(E.PERM);
  if (index === P.VM86_TSS) return domain.params[P.VM86_TSS_SIZED] & 0xffffffffn;
  return domain.params[index];
}

/** HVMOP_set_param. @throws Errno */
export function setHvmParam(call: Call, domain: Domain, index: number, value: bigint): void {
  checkTarget(call, domain);
  if (DEPRECATED.includes(index)) fail(E.INVAL);
  if (domain === call.domain && !GUEST_MAY_SET.includes(index)) fail(E.PERM);
  if (ONLY_ONCE.includes(index) && domain.params[index] !== 0n && domain.params[index] !== value) fail(E.EXIST);
  switch (index) {
    case P.CALLBACK_IRQ:
      setCallback(call, domain, value);
      break;
    case P.TIMER_MODE:
      if (value > 3n) fail(E.INVAL);
      break;
    case P.TRIPLE_FAULT_REASON:
      if (value > BigInt(SHUTDOWN.MAX)) fail(E.INVAL);
      break;
    case P.X87_FIP_WIDTH:
      if (value !== 0n && value !== 4n && value !== 8n) fail(E.INVAL);
      break;
    case P.VM86_TSS:
      if (value >> 32n !== 0n) fail(E.INVAL);
      domain.params[P.VM86_TSS_SIZED] = value === 0n ? 0n : value | (128n << 32n);
      return;
    case P.VM86_TSS_SIZED:
      if (value >> 32n < 104n) fail(E.INVAL);
      break;
    default:
      break;
  }
  domain.params[index] = value;
}

/**
 * How events reach the guest:
 *
 *      63    56 55                                      8 7      0
 *     ┌────────┬─────────────────────────────────────────┬────────┐
 *     │  type  │              (GSI, PCI INTx)            │ vector │
 *     └────────┴─────────────────────────────────────────┴────────┘
 *
 * Types 0 and 1 need interrupt controllers that a PVH domain does not have; they are put on the log as such.
 */
function setCallback(call: Call, domain: Domain, value: bigint): void {
  const type = Number(value >> 56n);
  domain.callbackVector = type === CALLBACK.VECTOR ? Number(value & 0xffn) : 0;
  // Linux sets a line as a matter of form when its vcpus have vectors of their own.
  const needed = value !== 0n && domain.vcpus.every((vcpu) => vcpu.upcallVector === 0);
  if (type !== CALLBACK.VECTOR && needed) call.unimplemented(0x100 | type);
  if (domain === call.domain) call.xen.latchWidth(domain, call.guest.width);
}
