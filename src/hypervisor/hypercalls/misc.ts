import { KIND } from '../../log/kinds.ts';
import { E, fail } from '../abi/errno.ts';
import { CONSOLEIO, multicallEntry, VMASST } from '../abi/xen.ts';
import { type Handler, MAX_BATCH } from './call.ts';
import { laterTick } from './sched-op.ts';

/** HYPERVISOR_set_timer_op(timeout): absolute system time; 0 stops the timer. 32-bit callers pass two halves. */
export const setTimerOp: Handler = (call) => {
  const timeout = call.guest.width === 8 ? call.long(0) : call.long(0) | (call.long(1) << 32n);
  const { timers } = call.xen;
  if (timeout === 0n) {
    call.vcpu.singleshotTimer.cancel();
    return 0;
  }
  const now = BigInt(call.xen.now());
  const huge = timeout >> 63n !== 0n || (timeout > now && timeout - now >= 1n << 50n);
  // Linux wraps its jiffies now and then: Xen answers a huge timeout with a tick in 100 ms.
  timers.setSingleshot(call.vcpu, laterTick(huge ? now + 100_000_000n : timeout));
  return 0;
};

/** Longest text of one console_io call; Xen takes it in pieces, which no guest can tell. */
const CONSOLE_MAX = 4096;

/** HYPERVISOR_console_io(cmd, count, buffer): the hypervisor's console. Guests may write to it. */
export const consoleIo: Handler = (call) => {
  const [cmd, count, buffer] = [call.u32(0), call.u32(1), call.long(2)];
  if (cmd === CONSOLEIO.read) return call.privileged ? 0 : -E.PERM;
  if (cmd !== CONSOLEIO.write) return call.unimplemented(cmd);
  if (count > MAX_BATCH) return -E['2BIG'];
  for (let done = 0; done < count; done += CONSOLE_MAX) {
    const bytes = call.guest.readBytes(buffer + BigInt(done), Math.min(CONSOLE_MAX, count - done));
    call.xen.log.appendBytes(KIND['console-io'], bytes);
  }
  return 0;
};

/** Assistance that an HVM guest may ask for. */
const HVM_ASSISTS = 1n << BigInt(VMASST.TYPE_runstate_update_flag);

/** HYPERVISOR_vm_assist(cmd, type). */
export const vmAssist: Handler = (call) => {
  const [cmd, type] = [call.u32(0), call.u32(1)];
  if (type >= 64 || ((HVM_ASSISTS >> BigInt(type)) & 1n) === 0n) fail(E.INVAL);
  if (cmd === VMASST.CMD_enable) call.domain.vmAssist |= 1n << BigInt(type);
  else if (cmd === VMASST.CMD_disable) call.domain.vmAssist &= ~(1n << BigInt(type));
  else return -E.NOSYS;
  return 0;
};

/** HYPERVISOR_multicall(calls, count): each entry gets its own result; entries that block end nothing. */
export const multicall: Handler = (call) => {
  const [list, count] = [call.long(0), call.u32(1)];
  const { nr } = call;
  if (count > MAX_BATCH) return -E['2BIG'];
  for (let i = 0; i < count; i++) {
    const at = call.guest.at(multicallEntry, list, i);
    const entry = call.guest.read(multicallEntry, at);
    for (const [k, arg] of entry.args.entries()) {
      call.words[2 * k] = Number(arg & 0xffffffffn);
      call.words[2 * k + 1] = Number((arg >> 32n) & 0xffffffffn);
    }
    const op = Number(entry.op & 0xffffffffn);
    // A multicall within one would hold up the machine without bound; Xen has no handler for it either.
    entry.result = op === nr ? BigInt(-E.NOSYS) : BigInt(call.xen.hypercalls.perform(call, op));
    call.nr = nr;
    call.guest.write(multicallEntry, at, entry);
  }
  return 0;
};

/** HYPERVISOR_physdev_op: what a PVH domain has of it in Xen (hvm_physdev_op without pirqs): nothing. */
export const physdevOp: Handler = (call) => call.unimplemented(call.i32(0));

/** HYPERVISOR_xsm_op: Xen's dummy module knows no operation. */
export const xsmOp: Handler = () => -E.NOSYS;

/** Interfaces of the control domain. */
export const privilegedOnly: Handler = () => -E.PERM;
