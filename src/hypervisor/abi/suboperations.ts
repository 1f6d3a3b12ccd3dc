import { EVTCHNOP } from './event-channel.ts';
import { GNTTABOP } from './grant-table.ts';
import { HVMOP } from './hvm.ts';
import { MEMOP_CMD_MASK, XENMEM } from './memory.ts';
import { SCHEDOP } from './sched.ts';
import { VCPUOP } from './vcpu.ts';
import { XENVER } from './version.ts';
import { CONSOLEIO, HYPERCALL } from './xen.ts';

/** Names by number, of the hypercalls whose first argument says what to do. */
const TABLES = new Map<number, ReadonlyMap<number, string>>(
  (
    [
      [HYPERCALL.memory_op, XENMEM],
      [HYPERCALL.xen_version, XENVER],
      [HYPERCALL.console_io, CONSOLEIO],
      [HYPERCALL.grant_table_op, GNTTABOP],
      [HYPERCALL.vcpu_op, VCPUOP],
      [HYPERCALL.sched_op, SCHEDOP],
      [HYPERCALL.event_channel_op, EVTCHNOP],
      [HYPERCALL.hvm_op, HVMOP],
    ] as const
  ).map(([nr, table]) => [nr, new Map(Object.entries(table).map(([name, sub]) => [sub, name]))]),
);

/** What a hypercall with these arguments asks: `send`, or the number if it has no name; undefined if it does one thing. */
export function suboperationName(nr: number, args: readonly bigint[]): string | undefined {
  const table = TABLES.get(nr);
  if (!table) return undefined;
  const number = Number(BigInt.asUintN(32, args[0]!)) & (nr === HYPERCALL.memory_op ? MEMOP_CMD_MASK : ~0);
  return table.get(number) ?? String(number);
}
