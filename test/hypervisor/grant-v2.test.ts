import { beforeEach, describe, expect, test } from 'vitest';
import { E } from '../../src/hypervisor/abi/errno.ts';
import * as abi from '../../src/hypervisor/abi/grant-table.ts';
import { GNTCOPY, GNTMAP, GNTST, GNTTABOP, GTF } from '../../src/hypervisor/abi/grant-table.ts';
import * as memory from '../../src/hypervisor/abi/memory.ts';
import { type Struct, u64 } from '../../src/hypervisor/abi/struct.ts';
import { DOMID } from '../../src/hypervisor/abi/xen.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import { ARG, DATA, Fixture } from './fixture.ts';

describe('grant entries of version 2', () => {
  let f: Fixture;
  let granter: Domain;
  let mapper: Domain;
  beforeEach(() => {
    f = new Fixture(8);
    granter = f.domain();
    mapper = f.domain();
  });
  const call = <V>(domain: Domain, sub: number, type: Struct<V>, value: V): V => {
    f.put(domain.vcpus[0], type, value);
    expect(f.call(domain.vcpus[0], 'grant_table_op', sub, ARG, 1)).toBe(0);
    return f.get(domain.vcpus[0], type);
  };
  const become = (domain: Domain, version: number) => {
    f.put(domain.vcpus[0], abi.setVersion, { version });
    return f.call(domain.vcpus[0], 'grant_table_op', GNTTABOP.set_version, ARG, 1);
  };
  const words = (domain: Domain, ref: number, ...values: number[]) => {
    for (const [i, value] of values.entries()) domain.grants.frames[0].setU32(ref * 16 + 4 * i, value >>> 0);
  };
  const head = (flags: number, to: Domain) => flags | (to.id << 16);
  const map = (ref: number, flags: number = GNTMAP.host_map) =>
    call(mapper, GNTTABOP.map_grant_ref, abi.mapGrantRef, {
      ...{ host_addr: 9000n * 4096n, flags, ref, dom: granter.id, status: 9, handle: 0, dev_bus_addr: 0n },
    }).status;
  const unmap = () =>
    call(mapper, GNTTABOP.unmap_grant_ref, abi.unmapGrantRef, {
      ...{ host_addr: 9000n * 4096n, dev_bus_addr: 0n, handle: 0, status: 9 },
    }).status;
  /** By `who` out of a grant into its own page 20. */
  const copyFrom = (who: Domain, ref: number, offset: number, len: number, dom = granter.id) =>
    call(who, GNTTABOP.copy, abi.copy, {
      source: { u: { ref }, domid: dom, offset },
      dest: { u: { gmfn: 20 }, domid: DOMID.SELF, offset: 0 },
      ...{ len, flags: GNTCOPY.source_gref, status: 9 },
    }).status;
  const status = (ref: number) => granter.grants.entries.statusFrames[0].view.getUint16(2 * ref, true);

  test('a change of version keeps the reserved entries and clears the others', () => {
    const [page] = granter.grants.frames;
    for (const ref of [0, 1, 9]) {
      page.setU32(8 * ref, head(GTF.permit_access | (ref === 1 ? GTF.reading : 0), mapper));
      page.setU32(8 * ref + 4, 30 + ref);
    }
    const free = f.engine.frames.freeFrames;
    expect(become(granter, 2)).toBe(0);
    expect([page.u32(0), page.u32(8), page.u32(16), page.u32(24), page.u32(9 * 16)]).toEqual([
      ...[head(1, mapper), 30, head(1, mapper), 31, 0],
    ]);
    expect([status(0), status(1), granter.grants.entry(1)!.flags]).toEqual([0, GTF.reading, 1 | GTF.reading]);
    expect(f.engine.frames.freeFrames).toBe(free - 1);
    words(granter, 9, head(1, mapper), 0, 39);
    expect(become(granter, 1)).toBe(0);
    expect([page.u32(8), page.u32(12), page.u32(72), granter.grants.entries.version]).toEqual([
      ...[head(1 | GTF.reading, mapper), 31, 0, 1],
    ]);
    expect(f.engine.frames.freeFrames).toBe(free);
  });

  test('a table in use keeps its version, and one that version 1 has no words for', () => {
    const [page] = granter.grants.frames;
    page.setU32(8 * 8, head(GTF.permit_access, mapper));
    page.setU32(8 * 8 + 4, 30);
    expect(map(8)).toBe(GNTST.okay);
    expect(become(granter, 2)).toBe(-E.BUSY);
    expect(unmap()).toBe(GNTST.okay);
    expect(become(granter, 2)).toBe(0);
    words(granter, 2, head(GTF.permit_access | GTF.sub_page, mapper), 0, 30);
    expect(become(granter, 1)).toBe(-E.INVAL);
    expect(granter.grants.entries.version).toBe(2);
  });

  test('marks of use are in the status pages, which the guest maps by their own index', () => {
    become(granter, 2);
    const g = granter.vcpus[0];
    f.put(g, memory.addToPhysmap, { domid: DOMID.SELF, size: 0, space: 1, idx: 0x80000000n, gpfn: 4100 });
    expect(f.call(g, 'memory_op', memory.XENMEM.add_to_physmap, ARG)).toBe(0);
    const list = { nr_frames: 1, dom: DOMID.SELF, status: 9, frame_list: DATA };
    expect(call(granter, GNTTABOP.get_status_frames, abi.getStatusFrames, list).status).toBe(GNTST.okay);
    expect(f.get(g, u64, DATA)).toBe(4100n);
    expect(granter.grants.entry(300)).toBeUndefined(); // the second frame is not there yet
    words(granter, 8, head(GTF.permit_access, mapper), 0, 30);
    expect(map(8)).toBe(GNTST.okay);
    expect(granter.physical.readU32(4100 * 4096 + 16) & 0xffff).toBe(GTF.reading | GTF.writing);
    expect(granter.grants.frames[0].u32(8 * 16)).toBe(head(GTF.permit_access, mapper));
    expect(unmap()).toBe(GNTST.okay);
    expect(status(8)).toBe(0);
    // Status frame 1 goes with table frames 8 to 15.
    expect(f.xen.errno(() => f.xen.physmap.add(granter, 1, 0x80000001, 4101))).toBe(0);
    expect([granter.grants.frames.length, granter.grants.entries.statusFrames.length]).toEqual([16, 2]);
    expect(f.xen.errno(() => f.xen.physmap.add(granter, 1, 0x80000008, 4102))).toBe(E.INVAL);
    expect(f.xen.errno(() => f.xen.physmap.add(mapper, 1, 0x80000000, 4102))).toBe(E.INVAL);
    // Back to version 1, nothing is left where they were.
    expect(become(granter, 1)).toBe(0);
    expect([granter.p2m.mfn(4100), granter.p2m.mfn(4101)]).toEqual([-1, -1]);
  });

  test('a piece of a page can be copied, not mapped', () => {
    become(granter, 2);
    granter.physical.write(30 * 4096 + 100, Uint8Array.of(1, 2, 3, 4));
    words(granter, 8, head(GTF.permit_access | GTF.sub_page, mapper), 100 | (4 << 16), 30);
    expect(map(8)).toBe(GNTST.general_error);
    expect(copyFrom(mapper, 8, 100, 4)).toBe(GNTST.okay);
    expect([...mapper.physical.read(20 * 4096, 4)]).toEqual([1, 2, 3, 4]);
    expect([copyFrom(mapper, 8, 99, 4), copyFrom(mapper, 8, 101, 4)]).toEqual([
      GNTST.general_error,
      GNTST.general_error,
    ]);
  });

  test('a grant can be passed on once', () => {
    const third = f.domain();
    become(granter, 2);
    become(mapper, 2);
    granter.physical.write(30 * 4096, Uint8Array.of(7));
    words(granter, 8, head(GTF.permit_access | GTF.readonly, mapper), 0, 30);
    words(mapper, 9, head(GTF.transitive, third), granter.id, 8);
    expect(copyFrom(third, 9, 0, 1, mapper.id)).toBe(GNTST.okay);
    expect([...third.physical.read(20 * 4096, 1)]).toEqual([7]);
    expect(copyFrom(granter, 9, 0, 1, mapper.id)).toBe(GNTST.general_error); // not passed on to this one
    words(mapper, 9, head(GTF.transitive, third), 99, 8);
    expect(copyFrom(third, 9, 0, 1, mapper.id)).toBe(GNTST.general_error);
    // A second step.
    words(granter, 8, head(GTF.transitive, mapper), mapper.id, 10);
    words(mapper, 9, head(GTF.transitive, third), granter.id, 8);
    words(mapper, 10, head(GTF.permit_access, granter), 0, 31);
    expect(copyFrom(third, 9, 0, 1, mapper.id)).toBe(GNTST.general_error);
  });

  test('frame numbers have 64 bits', () => {
    become(granter, 2);
    words(granter, 8, head(GTF.permit_access, mapper), 0, 30, 1);
    expect(map(8)).toBe(GNTST.bad_page);
  });

  test('entries are swapped whole, saved and put back', () => {
    become(mapper, 2);
    words(mapper, 8, head(GTF.permit_access | GTF.sub_page, granter), 100 | (4 << 16), 30);
    const swap = { ref_a: 8, ref_b: 9, status: 9 };
    expect(call(mapper, GNTTABOP.swap_grant_ref, abi.swapGrantRef, swap).status).toBe(GNTST.okay);
    expect(mapper.grants.entry(9)).toMatchObject({ frame: 30, piece: { offset: 100, length: 4 } });
    const saved = structuredClone(mapper.grants.save());
    const { entries } = mapper.grants;
    expect(become(mapper, 1)).toBe(0);
    expect(entries.statusFrames).toHaveLength(0);
    mapper.grants.restore(saved);
    expect([entries.version, entries.statusFrames.length]).toEqual([2, 1]);
  });
});
