import { KIND } from '../../log/kinds.ts';
import { PAGE_SIZE } from '../../memory/frames.ts';
import { E } from '../abi/errno.ts';
import * as abi from '../abi/grant-table.ts';
import { GNTCOPY, GNTMAP, GNTST, GNTTABOP } from '../abi/grant-table.ts';
import { pfn, type Struct, u64, type ValueOf } from '../abi/struct.ts';
import { DOMID } from '../abi/xen.ts';
import type { Domain } from '../domain.ts';
import type { GrantWindow } from '../grant-table/table.ts';
import { MAX_GFN } from '../mm/physmap.ts';
import { type Call, type Handler, MAX_BATCH } from './call.ts';

const PAGE = BigInt(PAGE_SIZE);
/** What the guest reads where a shared frame is not mapped in its map. */
const NO_GFN = -1;

/**
 * HYPERVISOR_grant_table_op: RDI = sub-operation, RSI = an array of its structures, RDX = how many. Each says in its
 * `status` how it went; the hypercall fails only if the array cannot be read.
 */
export const grantTableOp: Handler = (call) => {
  const sub = call.u32(0) & 0xfff;
  const count = call.i32(2);
  if (count < 0) return -E.INVAL;
  if (count > MAX_BATCH) return -E['2BIG'];
  const op = OPS[sub];
  return op ? op(call, call.long(1), count) : call.unimplemented(sub);
};

type Op = (call: Call, arg: bigint, count: number) => number;

const OPS: Readonly<Record<number, Op>> = {
  [GNTTABOP.map_grant_ref]: each(abi.mapGrantRef, mapGrantRef),
  [GNTTABOP.unmap_grant_ref]: each(abi.unmapGrantRef, unmapGrantRef),
  [GNTTABOP.unmap_and_replace]: each(abi.unmapAndReplace, (call, op) => {
    // Needs the caller's page tables: PV domains only.
    call.unimplemented(GNTTABOP.unmap_and_replace);
    op.status = GNTST.general_error;
  }),
  [GNTTABOP.copy]: each(abi.copy, copy),
  [GNTTABOP.swap_grant_ref]: each(abi.swapGrantRef, (call, op) => {
    op.status = call.domain.grants.swap(op.ref_a, op.ref_b);
  }),
  [GNTTABOP.query_size]: single(abi.querySize, (call, op) => {
    const domain = targetOf(call, op);
    if (!domain) return 0;
    op.nr_frames = domain.grants.frames.length;
    op.max_nr_frames = domain.grants.maxFrames;
    op.status = GNTST.okay;
    return 0;
  }),
  [GNTTABOP.setup_table]: single(abi.setupTable, setupTable),
  [GNTTABOP.set_version](call, arg, count) {
    if (count !== 1) return -E.INVAL;
    const op = call.guest.read(abi.setVersion, arg);
    const { domain, xen } = call;
    const { version } = op;
    const known = version === 1 || version === 2;
    const drop = (mfn: number) => xen.physmap.dropXenFrame(domain, mfn);
    const error = known ? domain.grants.setVersion(version, drop) : E.INVAL;
    // Whatever came of it, the caller learns which version it has.
    op.version = domain.grants.entries.version;
    call.guest.write(abi.setVersion, arg, op);
    return -error;
  },
  [GNTTABOP.get_version](call, arg, count) {
    if (count !== 1) return -E.INVAL;
    const op = call.guest.read(abi.getVersion, arg);
    op.version = call.ownTarget(op.dom).grants.entries.version;
    call.guest.write(abi.getVersion, arg, op);
    return 0;
  },
  [GNTTABOP.get_status_frames]: single(abi.getStatusFrames, (call, op) => {
    const domain = targetOf(call, op);
    if (!domain) return 0;
    const { statusFrames } = domain.grants.entries;
    op.status = op.nr_frames > statusFrames.length ? GNTST.general_error : GNTST.okay;
    for (let i = 0; op.status === GNTST.okay && i < op.nr_frames; i++) {
      const gfn = domain.xenFrames.get(statusFrames[i].mfn) ?? NO_GFN;
      call.guest.write(u64, op.frame_list + BigInt(8 * i), BigInt.asUintN(64, BigInt(gfn)));
    }
    return 0;
  }),
  /** Page transfer is refused to translated guests. */
  [GNTTABOP.transfer]: each(abi.transfer, (_call, op) => {
    op.status = GNTST.general_error;
  }),
  [GNTTABOP.dump_table]: (call) => call.unimplemented(GNTTABOP.dump_table),
  /** ARM only; x86's caches are coherent. */
  [GNTTABOP.cache_flush]: (call) => call.unimplemented(GNTTABOP.cache_flush, E.OPNOTSUPP),
};

/** An operation over an array of structures. */
function each<V>(type: Struct<V>, one: (call: Call, op: V) => void): Op {
  return (call, arg, count) => {
    for (let i = 0; i < count; i++) {
      const at = call.guest.at(type, arg, i);
      const op = call.guest.read(type, at);
      one(call, op);
      call.guest.update(type, at, op);
    }
    return 0;
  };
}

/** An operation on exactly one structure. */
function single<V>(type: Struct<V>, one: (call: Call, op: V) => number): Op {
  return (call, arg, count) => {
    if (count !== 1) return -E.INVAL;
    const op = call.guest.read(type, arg);
    const result = one(call, op);
    call.guest.write(type, arg, op);
    return result;
  };
}

/** The domain an operation names, or undefined with the status set. */
function targetOf(call: Call, op: { dom: number; status: number }): Domain | undefined {
  const domain = op.dom === DOMID.SELF ? call.domain : call.xen.find(op.dom);
  op.status = domain ? GNTST.permission_denied : GNTST.bad_domain;
  return domain && (domain === call.domain || call.privileged) ? domain : undefined;
}

function setupTable(call: Call, op: ValueOf<typeof abi.setupTable>): number {
  const domain = targetOf(call, op);
  if (!domain) return 0;
  op.status = GNTST.general_error;
  if (op.nr_frames > domain.grants.maxFrames || !domain.grants.grow(op.nr_frames)) return 0;
  for (let i = 0; i < op.nr_frames; i++) {
    const gfn = domain.xenFrames.get(domain.grants.frames[i].mfn) ?? NO_GFN;
    call.guest.write(pfn, call.guest.at(pfn, op.frame_list, i), gfn);
  }
  op.status = GNTST.okay;
  return 0;
}

function mapGrantRef(call: Call, op: ValueOf<typeof abi.mapGrantRef>): void {
  op.status = tryMap(call, op);
  const mapped = op.status === GNTST.okay;
  const mfn = mapped ? call.domain.grants.tracked(op.handle)!.mfn : 0;
  call.xen.log.append(KIND['grant-map'], op.dom, op.ref, op.flags, mapped ? op.handle : 0, mfn, 0, op.status);
}

function tryMap(call: Call, op: ValueOf<typeof abi.mapGrantRef>): number {
  const { domain, xen } = call;
  if ((op.flags & (GNTMAP.device_map | GNTMAP.host_map)) === 0) return GNTST.general_error;
  const granter = xen.find(op.dom);
  if (!granter) return GNTST.bad_domain;
  // A translated guest maps for its processors and at a guest frame; nothing else means anything to it.
  if ((op.flags & ~GNTMAP.readonly) !== GNTMAP.host_map) return GNTST.general_error;
  const gfn = Number(op.host_addr / PAGE);
  if (op.host_addr % PAGE !== 0n || gfn >= MAX_GFN) return GNTST.general_error;
  const readonly = (op.flags & GNTMAP.readonly) !== 0;
  const mfn = granter.grants.pin(op.ref, domain.id, readonly);
  if (mfn < 0) return mfn;
  const handle = domain.grants.track({ granter: granter.id, ref: op.ref, readonly, gfn, mfn });
  if (handle < 0) {
    granter.grants.unpin(op.ref, readonly);
    return GNTST.no_device_space;
  }
  xen.physmap.mapGrant(domain, gfn, mfn, readonly);
  op.handle = handle;
  op.dev_bus_addr = BigInt(mfn) * PAGE;
  return GNTST.okay;
}

function unmapGrantRef(call: Call, op: ValueOf<typeof abi.unmapGrantRef>): void {
  const mapping = call.domain.grants.tracked(op.handle);
  if (!mapping || mapping.gfn < 0) op.status = GNTST.bad_handle;
  else if (op.host_addr !== BigInt(mapping.gfn) * PAGE) op.status = GNTST.general_error;
  else {
    call.xen.dropMapping(call.domain, op.handle, mapping);
    op.status = GNTST.okay;
  }
  call.xen.log.append(KIND['grant-unmap'], mapping?.granter ?? DOMID.INVALID, mapping?.ref ?? 0, op.handle, op.status);
}

type CopyOp = ValueOf<typeof abi.copy>;

function copy(call: Call, op: CopyOp): void {
  op.status = tryCopy(call, op);
  const name = (end: CopyOp['source'], gref: number) => ((op.flags & gref) !== 0 ? end.u.ref! : end.u.gmfn!);
  call.xen.log.emit('grant-copy', {
    sourceDomain: op.source.domid,
    source: clamp(name(op.source, GNTCOPY.source_gref)),
    sourceOffset: op.source.offset,
    destDomain: op.dest.domid,
    dest: clamp(name(op.dest, GNTCOPY.dest_gref)),
    destOffset: op.dest.offset,
    length: op.len,
    flags: op.flags,
    status: op.status,
  });
  // A union is written by one member.
  op.source.u = { gmfn: op.source.u.gmfn };
  op.dest.u = { gmfn: op.dest.u.gmfn };
}

function tryCopy(call: Call, op: CopyOp): number {
  if (op.source.offset + op.len > PAGE_SIZE || op.dest.offset + op.len > PAGE_SIZE) return GNTST.bad_copy_arg;
  const from = copyEnd(call, op.source, (op.flags & GNTCOPY.source_gref) !== 0, true);
  if (typeof from === 'number') return from;
  const to = copyEnd(call, op.dest, (op.flags & GNTCOPY.dest_gref) !== 0, false);
  if (typeof to === 'number') return to;
  if (!reaches(from, op.source.offset, op.len) || !reaches(to, op.dest.offset, op.len)) return GNTST.general_error;
  const { frames } = call.xen.engine;
  const bytes = frames.frame(from.mfn).slice(op.source.offset, op.source.offset + op.len);
  frames.frame(to.mfn).set(bytes, op.dest.offset);
  call.xen.engine.frameWritten(to.mfn);
  return GNTST.okay;
}

function reaches({ offset, length }: GrantWindow, from: number, bytes: number): boolean {
  return from >= offset && from + bytes <= offset + length;
}

/** What one end of a copy may touch, or a negative status. */
function copyEnd(call: Call, end: CopyOp['source'], gref: boolean, readonly: boolean): GrantWindow | number {
  const self = end.domid === DOMID.SELF;
  const domain = self ? call.domain : call.xen.find(end.domid);
  if (!domain) return GNTST.bad_domain;
  if (gref) return domain.grants.window(end.u.ref!, call.domain.id, readonly, (id) => call.xen.find(id)?.grants);
  if (!self && !call.privileged) return GNTST.permission_denied;
  const gfn = end.u.gmfn!;
  const mfn = gfn < MAX_GFN ? domain.p2m.mfn(gfn) : -1;
  if (mfn < 0 || (!readonly && !domain.p2m.isWritable(gfn))) return GNTST.bad_page;
  return { mfn, offset: 0, length: PAGE_SIZE };
}

function clamp(n: number): number {
  return Math.min(n, Number.MAX_SAFE_INTEGER);
}
