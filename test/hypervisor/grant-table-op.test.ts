import { beforeEach, describe, expect, test } from 'vitest';
import { E } from '../../src/hypervisor/abi/errno.ts';
import * as abi from '../../src/hypervisor/abi/grant-table.ts';
import { GNTCOPY, GNTMAP, GNTST, GNTTABOP, GTF } from '../../src/hypervisor/abi/grant-table.ts';
import { pfn, type Struct } from '../../src/hypervisor/abi/struct.ts';
import { DOMID } from '../../src/hypervisor/abi/xen.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import type { Vcpu } from '../../src/hypervisor/vcpu.ts';
import { P2mType } from '../../src/memory/p2m.ts';
import { ARG, DATA, Fixture, HOLE, WIDTHS } from './fixture.ts';

describe.each(WIDTHS)('grant_table_op from a caller with %i-byte longs', (width) => {
  let f: Fixture;
  let granter: Domain;
  let mapper: Domain;
  let v: Vcpu;
  beforeEach(() => {
    f = new Fixture(width);
    granter = f.domain();
    mapper = f.domain();
    v = mapper.vcpus[0];
  });
  const one = <V>(sub: number, type: Struct<V>, value: V) => {
    f.put(v, type, value);
    const rc = f.call(v, 'grant_table_op', sub, ARG, 1);
    return { rc, out: f.get(v, type) };
  };
  /** Grants `gfn` of the granter to the mapper under `ref`. */
  const grant = (ref: number, gfn: number, flags: number = GTF.permit_access, to: Domain = mapper) => {
    const page = granter.grants.frames[0];
    page.setU32(ref * 8, (flags | (to.id << 16)) >>> 0);
    page.setU32(ref * 8 + 4, gfn);
  };
  const flagsOf = (ref: number) => granter.grants.entry(ref)!.flags;
  const map = (ref: number, gfn: number, flags: number = GNTMAP.host_map, dom = granter.id) =>
    one(GNTTABOP.map_grant_ref, abi.mapGrantRef, {
      host_addr: BigInt(gfn) * 4096n,
      flags,
      ref,
      dom,
      status: 99,
      handle: 0,
      dev_bus_addr: 0n,
    }).out;
  const unmap = (handle: number, gfn: number) =>
    one(GNTTABOP.unmap_grant_ref, abi.unmapGrantRef, {
      host_addr: BigInt(gfn) * 4096n,
      dev_bus_addr: 0n,
      handle,
      status: 99,
    }).out;

  test('query_size and setup_table', () => {
    const query = (dom: number) =>
      one(GNTTABOP.query_size, abi.querySize, { dom, nr_frames: 0, max_nr_frames: 0, status: 99 }).out;
    expect(query(DOMID.SELF)).toMatchObject({ nr_frames: 1, max_nr_frames: 64, status: GNTST.okay });
    expect(query(granter.id).status).toBe(GNTST.permission_denied);
    expect(query(99).status).toBe(GNTST.bad_domain);
    f.xen.physmap.add(mapper, 1, 1, 4000);
    const setup = (nr_frames: number, dom: number = DOMID.SELF) =>
      one(GNTTABOP.setup_table, abi.setupTable, { dom, nr_frames, status: 99, frame_list: DATA }).out.status;
    expect(setup(3)).toBe(GNTST.okay);
    expect(query(DOMID.SELF).nr_frames).toBe(3);
    const list = [0, 1, 2].map((i) => f.get(v, pfn, DATA + BigInt(i * width)));
    expect(list[1]).toBe(4000);
    expect(list[0]).toBeGreaterThan(2 ** 31); // not mapped anywhere
    expect(setup(65)).toBe(GNTST.general_error);
    expect(setup(1, granter.id)).toBe(GNTST.permission_denied);
    expect(f.call(v, 'grant_table_op', GNTTABOP.query_size, ARG, 2)).toBe(-E.INVAL);
    expect(f.call(v, 'grant_table_op', GNTTABOP.query_size, HOLE, 1)).toBe(-E.FAULT);
  });

  test('map shows the granted page, marks the grant in use; unmap undoes both', () => {
    grant(8, 30);
    granter.physical.write(30 * 4096 + 12, Uint8Array.of(0xab));
    const mapped = map(8, 9000);
    expect(mapped.status).toBe(GNTST.okay);
    expect(mapped.dev_bus_addr).toBe(BigInt(granter.p2m.mfn(30)) << 12n);
    expect(mapper.p2m.type(9000)).toBe(P2mType.GRANT_RW);
    expect(mapper.physical.read(9000 * 4096 + 12, 1)[0]).toBe(0xab);
    mapper.physical.write(9000 * 4096 + 13, Uint8Array.of(0xcd));
    expect(granter.physical.read(30 * 4096 + 13, 1)[0]).toBe(0xcd);
    expect(flagsOf(8)).toBe(GTF.permit_access | GTF.reading | GTF.writing);

    expect(unmap(mapped.handle + 1, 9000).status).toBe(GNTST.bad_handle);
    expect(unmap(mapped.handle, 9001).status).toBe(GNTST.general_error);
    expect(unmap(mapped.handle, 9000).status).toBe(GNTST.okay);
    expect(mapper.p2m.mfn(9000)).toBe(-1);
    expect(flagsOf(8)).toBe(GTF.permit_access);
    expect(unmap(mapped.handle, 9000).status).toBe(GNTST.bad_handle);
    expect(f.events('grant-map')).toMatchObject([{ granter: granter.id, ref: 8, status: 0, mfn: granter.p2m.mfn(30) }]);
    expect(f.events('grant-unmap')).toHaveLength(4);
  });

  test('read-only grants and mappings', () => {
    grant(9, 31, GTF.permit_access | GTF.readonly);
    expect(map(9, 9000).status).toBe(GNTST.general_error);
    const mapped = map(9, 9000, GNTMAP.host_map | GNTMAP.readonly);
    expect(mapped.status).toBe(GNTST.okay);
    expect(mapper.p2m.isWritable(9000)).toBe(false);
    expect(flagsOf(9)).toBe(GTF.permit_access | GTF.readonly | GTF.reading);
  });

  test('two mappings of one grant: in use until both are gone', () => {
    grant(8, 30);
    const [a, b] = [map(8, 9000), map(8, 9001, GNTMAP.host_map | GNTMAP.readonly)];
    expect([a.handle, b.handle]).toEqual([0, 1]);
    unmap(0, 9000);
    expect(flagsOf(8)).toBe(GTF.permit_access | GTF.reading);
    expect(map(8, 9002).handle).toBe(0); // the lowest free handle again
    unmap(1, 9001);
    unmap(0, 9002);
    expect(flagsOf(8)).toBe(GTF.permit_access);
  });

  test('what cannot be mapped says why', () => {
    grant(8, 30);
    grant(10, 30, GTF.permit_access, granter);
    grant(11, 30, GTF.transitive);
    grant(12, 50_000);
    expect(map(8, 9000, GNTMAP.host_map, 99).status).toBe(GNTST.bad_domain);
    expect(map(8, 9000, 0).status).toBe(GNTST.general_error);
    expect(map(8, 9000, GNTMAP.host_map | GNTMAP.device_map).status).toBe(GNTST.general_error);
    expect(map(100_000, 9000).status).toBe(GNTST.bad_gntref);
    expect(map(7, 9000).status).toBe(GNTST.general_error); // invalid entry
    expect(map(10, 9000).status).toBe(GNTST.general_error); // somebody else's
    expect(map(11, 9000).status).toBe(GNTST.general_error);
    expect(map(12, 9000).status).toBe(GNTST.bad_page);
    granter.grants.frames[0].setU32(12, granter.id);
    expect(mapper.p2m.mfn(9000)).toBe(-1);
  });

  test('a page that its owner gives up stays while it is mapped', () => {
    grant(8, 30);
    map(8, 9000);
    mapper.physical.write(9000 * 4096, Uint8Array.of(1));
    const mfn = granter.p2m.mfn(30);
    f.xen.physmap.remove(granter, 30);
    const fresh = f.engine.frames.allocate();
    expect(fresh).not.toBe(mfn);
    expect(mapper.physical.read(9000 * 4096, 1)[0]).toBe(1);
    unmap(0, 9000);
    expect(f.engine.frames.allocate()).toBe(mfn);
  });

  test('a granter that dies leaves its mapped pages until they are let go', () => {
    grant(8, 30);
    map(8, 9000);
    const before = f.engine.frames.freeFrames;
    f.xen.destroy(granter);
    const after = f.engine.frames.freeFrames;
    expect(unmap(0, 9000).status).toBe(GNTST.okay);
    expect(f.engine.frames.freeFrames).toBe(after + 1);
    expect(after).toBeGreaterThan(before);
  });

  test('a mapper that dies lets go', () => {
    grant(8, 30);
    map(8, 9000);
    f.xen.destroy(mapper);
    expect(flagsOf(8)).toBe(GTF.permit_access);
  });

  const end = (ref: number | undefined, gmfn: number, domid: number, offset: number) => ({
    u: ref === undefined ? { gmfn } : { ref },
    domid,
    offset,
  });
  const copy = (source: ReturnType<typeof end>, dest: ReturnType<typeof end>, len: number, flags: number) =>
    one(GNTTABOP.copy, abi.copy, { source, dest, len, flags, status: 99 }).out.status;

  test('copy between a grant and the own memory, both ways', () => {
    grant(8, 30);
    granter.physical.write(30 * 4096 + 100, Uint8Array.of(1, 2, 3, 4));
    expect(copy(end(8, 0, granter.id, 100), end(undefined, 20, DOMID.SELF, 4092), 4, GNTCOPY.source_gref)).toBe(
      GNTST.okay,
    );
    expect([...mapper.physical.read(20 * 4096 + 4092, 4)]).toEqual([1, 2, 3, 4]);
    expect(copy(end(undefined, 20, DOMID.SELF, 4093), end(8, 0, granter.id, 0), 3, GNTCOPY.dest_gref)).toBe(GNTST.okay);
    expect([...granter.physical.read(30 * 4096, 3)]).toEqual([2, 3, 4]);
    expect(f.events('grant-copy')).toMatchObject([
      { sourceDomain: granter.id, source: 8, dest: 20, destOffset: 4092, length: 4, flags: 1, status: 0 },
      { source: 20, dest: 8, status: 0 },
    ]);
  });

  test('copy refuses what it must', () => {
    grant(8, 30, GTF.permit_access | GTF.readonly);
    const self = end(undefined, 20, DOMID.SELF, 0);
    expect(copy(end(8, 0, granter.id, 4000), self, 100, GNTCOPY.source_gref)).toBe(GNTST.bad_copy_arg);
    expect(copy(self, end(8, 0, granter.id, 0), 4, GNTCOPY.dest_gref)).toBe(GNTST.general_error);
    expect(copy(end(undefined, 3, granter.id, 0), self, 4, 0)).toBe(GNTST.permission_denied);
    expect(copy(end(8, 0, 99, 0), self, 4, GNTCOPY.source_gref)).toBe(GNTST.bad_domain);
    expect(copy(end(undefined, 0x0fffffff, DOMID.SELF, 0), self, 4, 0)).toBe(GNTST.bad_page);
    expect(copy(end(70_000, 0, granter.id, 0), self, 4, GNTCOPY.source_gref)).toBe(GNTST.bad_gntref);
  });

  test('arrays of operations: each has its own status, a bad address ends them', () => {
    grant(8, 30);
    const size = BigInt(abi.mapGrantRef.size(width));
    const op = (ref: number, gfn: number) => ({
      host_addr: BigInt(gfn) * 4096n,
      flags: GNTMAP.host_map,
      ref,
      dom: granter.id,
      status: 99,
      handle: 0,
      dev_bus_addr: 0n,
    });
    f.put(v, abi.mapGrantRef, op(8, 9000));
    f.put(v, abi.mapGrantRef, op(7, 9001), ARG + size);
    f.put(v, abi.mapGrantRef, op(8, 9002), ARG + 2n * size);
    expect(f.call(v, 'grant_table_op', GNTTABOP.map_grant_ref, ARG, 3)).toBe(0);
    expect([0n, 1n, 2n].map((i) => f.get(v, abi.mapGrantRef, ARG + i * size).status)).toEqual([
      0,
      GNTST.general_error,
      0,
    ]);
    expect(f.call(v, 'grant_table_op', GNTTABOP.map_grant_ref, ARG, -1)).toBe(-E.INVAL);
    expect(f.call(v, 'grant_table_op', GNTTABOP.map_grant_ref, 64n * 4096n - size, 2)).toBe(-E.FAULT);
  });

  const setVersion = (version: number) => one(GNTTABOP.set_version, abi.setVersion, { version });
  const getVersion = (dom: number = DOMID.SELF) =>
    one(GNTTABOP.get_version, abi.getVersion, { dom, pad: 0, version: 0 });
  const statusFrames = (nr_frames: number) =>
    one(GNTTABOP.get_status_frames, abi.getStatusFrames, { nr_frames, dom: DOMID.SELF, status: 9, frame_list: DATA })
      .out.status;

  test('version 1 is there at first, and alone if the toolstack says so', () => {
    expect(getVersion()).toMatchObject({ rc: 0, out: { version: 1 } });
    expect(getVersion(granter.id).rc).toBe(-E.PERM);
    expect(setVersion(1)).toEqual({ rc: 0, out: { version: 1 } });
    expect(setVersion(3)).toEqual({ rc: -E.INVAL, out: { version: 1 } });
    expect([statusFrames(0), statusFrames(1)]).toEqual([GNTST.okay, GNTST.general_error]);
    v = f.domain({ maxGrantVersion: 1 }).vcpus[0];
    expect(setVersion(2)).toEqual({ rc: -E.NOSYS, out: { version: 1 } });
  });

  test('swap exchanges two entries that nobody uses', () => {
    const own = mapper.grants.frames[0];
    own.setU32(8 * 8, 1 | (5 << 16));
    own.setU32(8 * 8 + 4, 40);
    const swap = (ref_a: number, ref_b: number) =>
      one(GNTTABOP.swap_grant_ref, abi.swapGrantRef, { ref_a, ref_b, status: 9 }).out.status;
    expect(swap(8, 9)).toBe(GNTST.okay);
    expect(mapper.grants.entry(9)).toEqual({ flags: 1, domid: 5, frame: 40 });
    expect(mapper.grants.entry(8)).toEqual({ flags: 0, domid: 0, frame: 0 });
    expect(swap(8, 99_999)).toBe(GNTST.bad_gntref);
  });

  test('the rest is refused aloud', () => {
    expect(one(GNTTABOP.transfer, abi.transfer, { mfn: 1, domid: granter.id, ref: 8, status: 9 }).out.status).toBe(
      GNTST.general_error,
    );
    expect(
      one(GNTTABOP.unmap_and_replace, abi.unmapAndReplace, { host_addr: 0n, new_addr: 0n, handle: 0, status: 9 }).out
        .status,
    ).toBe(GNTST.general_error);
    expect(f.call(v, 'grant_table_op', GNTTABOP.cache_flush, ARG, 1)).toBe(-E.OPNOTSUPP);
    expect(f.call(v, 'grant_table_op', GNTTABOP.dump_table, ARG, 1)).toBe(-E.NOSYS);
    expect(f.call(v, 'grant_table_op', 77, ARG, 1)).toBe(-E.NOSYS);
    expect(f.events('unimplemented').length).toBeGreaterThanOrEqual(4);
  });
});
