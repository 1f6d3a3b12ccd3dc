import { REG } from '../../cpu/state.ts';
import { KIND } from '../../log/kinds.ts';
import { E, Errno } from '../abi/errno.ts';
import { HYPERCALL } from '../abi/xen.ts';

import type { Xen } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { Call, type Handler } from './call.ts';
import { eventChannelOp } from './event-channel-op.ts';
import { grantTableOp } from './grant-table-op.ts';
import { hvmOp } from './hvm-op.ts';
import { memoryOp } from './memory-op.ts';
import { consoleIo, multicall, physdevOp, privilegedOnly, setTimerOp, vmAssist, xsmOp } from './misc.ts';
import { schedOp } from './sched-op.ts';
import { vcpuOp } from './vcpu-op.ts';
import { xenVersion } from './version.ts';

/**
 * Every hypercall that an HVM or PVH domain can make (the hvm columns of Xen's hypercall-defs.c). What is not here
 * gives -ENOSYS: PV's own calls as in Xen, the rest with an `unimplemented` event.
 */
const TABLE: readonly (readonly [number: number, name: string, handler: Handler])[] = [
  [HYPERCALL.memory_op, 'memory_op', memoryOp],
  [HYPERCALL.multicall, 'multicall', multicall],
  [HYPERCALL.set_timer_op, 'set_timer_op', setTimerOp],
  [HYPERCALL.xen_version, 'xen_version', xenVersion],
  [HYPERCALL.console_io, 'console_io', consoleIo],
  [HYPERCALL.grant_table_op, 'grant_table_op', grantTableOp],
  [HYPERCALL.vm_assist, 'vm_assist', vmAssist],
  [HYPERCALL.vcpu_op, 'vcpu_op', vcpuOp],
  [HYPERCALL.xsm_op, 'xsm_op', xsmOp],
  [HYPERCALL.sched_op, 'sched_op', schedOp],
  [HYPERCALL.event_channel_op, 'event_channel_op', eventChannelOp],
  [HYPERCALL.physdev_op, 'physdev_op', physdevOp],
  [HYPERCALL.hvm_op, 'hvm_op', hvmOp],
  [HYPERCALL.platform_op, 'platform_op', privilegedOnly],
  [HYPERCALL.sysctl, 'sysctl', privilegedOnly],
  [HYPERCALL.domctl, 'domctl', privilegedOnly],
  [HYPERCALL.dm_op, 'dm_op', privilegedOnly],
];

/** The order of argument registers, as numbers of RAX…R15: 64-bit RDI RSI RDX R10 R8 R9, 32-bit EBX ECX EDX ESI EDI EBP. */
const { RAX } = REG;
const ARGUMENTS = { 8: [7, 6, 2, 10, 8, 9], 4: [3, 1, 2, 6, 7, 5] } as const;

/** Entry and return of hypercalls. */
export class Hypercalls {
  readonly #xen: Xen;
  readonly #call: Call;
  readonly #handlers: (Handler | undefined)[] = [];

  constructor(xen: Xen) {
    this.#xen = xen;
    this.#call = new Call(xen, xen.guest);
    for (const [nr, , handler] of TABLE) this.#handlers[nr] = handler;
  }

  /** VMCALL or VMMCALL in `vcpu`, which is current. The result is in RAX afterwards. */
  enter(vcpu: Vcpu): void {
    const { log, engine, guest } = this.#xen;
    const s = engine.state;
    const width = s.is64 ? 8 : 4;
    const call = this.#call;
    const nr = s.reg32(RAX);
    if (s.cpl !== 0 || (s.cr0 & 1) === 0) {
      // Real mode and user code are not served (hvm_hypercall).
      this.#return(width, nr, -E.PERM);
      return;
    }
    guest.width = width;
    call.vcpu = vcpu;
    const w = call.words;
    const registers = ARGUMENTS[width];
    for (let i = 0; i < 6; i++) {
      w[2 * i] = s.u32[registers[i] * 2];
      w[2 * i + 1] = width === 8 ? s.u32[registers[i] * 2 + 1] : 0;
    }
    log.append(KIND.hypercall, nr, w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9]);
    this.#return(width, nr, this.perform(call, nr));
  }

  /** Runs handler `nr` with the arguments in `call`. @returns its result or a negative errno */
  perform(call: Call, nr: number): number | bigint {
    const handler = this.#handlers[nr];
    call.nr = nr;
    if (!handler) {
      this.#xen.log.emit('unimplemented', { what: 'hypercall', nr, sub: 0 });
      return -E.NOSYS;
    }
    try {
      return handler(call);
    } catch (error) {
      if (error instanceof Errno) return -error.code;
      throw error;
    }
  }

  #return(width: 4 | 8, nr: number, result: number | bigint): void {
    const { engine, log } = this.#xen;
    let low: number;
    let high: number;
    if (typeof result === 'number') {
      low = result | 0;
      high = result === low ? low >> 31 : Math.floor(result / 0x1_0000_0000);
    } else {
      low = Number(BigInt.asIntN(32, result));
      high = Number(BigInt.asIntN(32, result >> 32n));
    }
    engine.state.u32[RAX * 2] = low;
    engine.state.u32[RAX * 2 + 1] = width === 8 ? high : 0;
    log.append(KIND['hypercall-return'], nr, low, high);
  }
}

/** Names for people: `HYPERCALL_NAMES.get(12) === 'memory_op'`. */
export const HYPERCALL_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(HYPERCALL).map(([name, nr]) => [nr, name]),
);
