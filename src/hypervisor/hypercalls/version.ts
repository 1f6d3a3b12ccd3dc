import { E } from '../abi/errno.ts';
import * as abi from '../abi/version.ts';
import { SIZES, XENFEAT, XENVER } from '../abi/version.ts';
import type { Call, Handler } from './call.ts';

/** The version that guests see: the interface rexen keeps to. */
export const XEN_VERSION = { major: 4, minor: 17, extra: '.7' } as const;
const CAPABILITIES = 'xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ';
/** Start of Xen's own part of the address space (HYPERVISOR_VIRT_START of 64-bit guests). */
const VIRT_START = 0xffff800000000000n;

/** Features of an auto-translated guest (do_xen_version, XENVER_get_features, submap 0). */
const FEATURES =
  (1 << XENFEAT.memory_op_vnode_supported) |
  (1 << XENFEAT.writable_page_tables) |
  (1 << XENFEAT.auto_translated_physmap) |
  (1 << XENFEAT.hvm_safe_pvclock) |
  (1 << XENFEAT.hvm_callback_vector) |
  (1 << XENFEAT.not_direct_mapped);

/** HYPERVISOR_xen_version: RDI = sub-operation, RSI = where the answer goes. */
export const xenVersion: Handler = (call) => {
  const op = OPS[call.i32(0)];
  return op ? op(call, call.long(1)) : call.unimplemented(call.i32(0));
};

type Op = (call: Call, arg: bigint) => number;

const OPS: Readonly<Record<number, Op>> = {
  [XENVER.version]: () => (XEN_VERSION.major << 16) | XEN_VERSION.minor,
  [XENVER.extraversion]: text(SIZES.extraversion, XEN_VERSION.extra),
  [XENVER.compile_info](call, arg) {
    // What XSM hides from unprivileged guests is hidden here too.
    const fields: [string, number][] = [
      ['rexen', SIZES.compiler],
      ['<denied>', SIZES.compile_by],
      ['<denied>', SIZES.compile_domain],
      ['<denied>', SIZES.compile_date],
    ];
    const out = new Uint8Array(SIZES.compiler + SIZES.compile_by + SIZES.compile_domain + SIZES.compile_date);
    let at = 0;
    for (const [value, size] of fields) {
      out.set(ascii(value, size), at);
      at += size;
    }
    call.guest.writeBytes(arg, out);
    return 0;
  },
  [XENVER.capabilities]: text(SIZES.capabilities, CAPABILITIES),
  [XENVER.changeset]: text(SIZES.changeset, '<denied>'),
  [XENVER.platform_parameters](call, arg) {
    call.guest.write(abi.platformParameters, arg, { virt_start: call.guest.width === 8 ? VIRT_START : 0xf5800000n });
    return 0;
  },
  [XENVER.get_features](call, arg) {
    const a = call.guest.read(abi.featureInfo, arg);
    if (a.submap_idx !== 0) return -E.INVAL;
    a.submap = FEATURES;
    call.guest.write(abi.featureInfo, arg, a);
    return 0;
  },
  [XENVER.pagesize]: (_call, arg) => (arg === 0n ? 4096 : -E.INVAL),
  [XENVER.guest_handle](call, arg) {
    call.guest.writeBytes(arg, call.domain.uuid);
    return 0;
  },
  [XENVER.commandline]: text(SIZES.commandline, '<denied>'),
  /** There is no linked image whose notes could hold one. */
  [XENVER.build_id]: () => -E.NODATA,
};

function text(size: number, value: string): Op {
  return (call, arg) => {
    call.guest.writeBytes(arg, ascii(value, size));
    return 0;
  };
}

/** `value` with zeros up to `size`, cut so that at least one remains. */
function ascii(value: string, size: number): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = 0; i < Math.min(value.length, size - 1); i++) out[i] = value.charCodeAt(i);
  return out;
}
