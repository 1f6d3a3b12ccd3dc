import { beforeEach, describe, expect, test } from 'vitest';
import { E } from '../../src/hypervisor/abi/errno.ts';
import * as abi from '../../src/hypervisor/abi/memory.ts';
import { MAPSPACE, XENMEM } from '../../src/hypervisor/abi/memory.ts';
import { i32, pfn, ulong } from '../../src/hypervisor/abi/struct.ts';
import { DOMID } from '../../src/hypervisor/abi/xen.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import type { Vcpu } from '../../src/hypervisor/vcpu.ts';
import { ARG, DATA, Fixture, HOLE, RAM_PAGES, WIDTHS } from './fixture.ts';

describe.each(WIDTHS)('memory_op from a caller with %i-byte longs', (width) => {
  let f: Fixture;
  let domain: Domain;
  let v: Vcpu;
  beforeEach(() => {
    f = new Fixture(width);
    domain = f.domain();
    v = domain.vcpus[0];
  });
  const reservation = (
    sub: number,
    gfns: number[],
    more: { order?: number; domid?: number; flags?: number; count?: bigint } = {},
  ) => {
    for (const [i, gfn] of gfns.entries()) f.put(v, pfn, gfn, DATA + BigInt(i * width));
    return f.op(v, 'memory_op', sub, abi.reservation, {
      extent_start: DATA,
      nr_extents: more.count ?? BigInt(gfns.length),
      extent_order: more.order ?? 0,
      mem_flags: more.flags ?? 0,
      domid: more.domid ?? DOMID.SELF,
    }).rc;
  };

  test('populate and decrease: counts of extents, zeroed pages, the ceiling', () => {
    expect(reservation(XENMEM.populate_physmap, [100, 200])).toBe(2);
    expect(domain.pages).toBe(RAM_PAGES + 2);
    domain.physical.write(100 * 4096, Uint8Array.of(1, 2, 3));
    expect(reservation(XENMEM.decrease_reservation, [100])).toBe(1);
    expect(domain.p2m.mfn(100)).toBe(-1);
    expect(reservation(XENMEM.decrease_reservation, [200, 100, 5])).toBe(1); // 100 is gone: stops there
    expect(domain.p2m.mfn(5)).toBeGreaterThan(0);
    expect(reservation(XENMEM.populate_physmap, [100])).toBe(1);
    expect([...domain.physical.read(100 * 4096, 3)]).toEqual([0, 0, 0]);
    expect(reservation(XENMEM.populate_physmap, [300, 301, 302, 303, 304, 305, 306, 307, 308])).toBe(7);
    expect(domain.pages).toBe(domain.maxPages);
  });

  test('extents of several pages are all or nothing', () => {
    expect(reservation(XENMEM.populate_physmap, [512], { order: 2 })).toBe(1);
    expect([512, 513, 514, 515, 516].map((g) => domain.p2m.mfn(g) > 0)).toEqual([true, true, true, true, false]);
    expect(reservation(XENMEM.populate_physmap, [520], { order: 3 })).toBe(0);
    expect(domain.p2m.mfn(520)).toBe(-1);
    expect(reservation(XENMEM.decrease_reservation, [512], { order: 2 })).toBe(1);
    expect(domain.pages).toBe(RAM_PAGES);
  });

  test('a machine without frames: what there is, extent by extent, and more when another domain gives back', () => {
    const { frames } = f.engine;
    domain.maxPages = 4096;
    const other = f.domain();
    while (frames.freeFrames > 10) frames.allocate();
    expect(reservation(XENMEM.populate_physmap, [512, 520, 528], { order: 2 })).toBe(2);
    expect([domain.p2m.mfn(528), frames.freeFrames, domain.pages]).toEqual([-1, 2, RAM_PAGES + 8]);
    expect(reservation(XENMEM.populate_physmap, [600, 601, 602])).toBe(2);
    expect(reservation(XENMEM.populate_physmap, [602])).toBe(0);
    f.xen.physmap.remove(other, 20);
    expect(reservation(XENMEM.populate_physmap, [602, 603])).toBe(1);
    expect(frames.freeFrames).toBe(0);
  });

  test('reservations that cannot be: 0 extents', () => {
    expect(reservation(XENMEM.populate_physmap, [100], { domid: 0 })).toBe(0);
    expect(reservation(XENMEM.populate_physmap, [100], { domid: 77 })).toBe(0);
    expect(reservation(XENMEM.populate_physmap, [100], { order: 10 })).toBe(0);
    expect(reservation(XENMEM.populate_physmap, [100], { flags: 1 << 16 })).toBe(0);
    expect(reservation(XENMEM.populate_physmap, [0xfffffff0])).toBe(0);
    expect(reservation(XENMEM.increase_reservation, [0])).toBe(0);
    expect(f.events('unimplemented')).toHaveLength(1);
    expect(f.call(v, 'memory_op', XENMEM.populate_physmap, HOLE)).toBe(-E.FAULT);
  });

  test('sizes: current and maximum reservation, highest frame, all of the machine', () => {
    const ask = (sub: number, domid: number) => f.op(v, 'memory_op', sub, abi.memoryDomain, { domid }).rc;
    expect(ask(XENMEM.current_reservation, DOMID.SELF)).toBe(RAM_PAGES);
    expect(ask(XENMEM.current_reservation, domain.id)).toBe(RAM_PAGES);
    expect(ask(XENMEM.maximum_reservation, DOMID.SELF)).toBe(RAM_PAGES + 8);
    expect(ask(XENMEM.maximum_gpfn, DOMID.SELF)).toBe(RAM_PAGES - 1);
    expect(ask(XENMEM.current_reservation, 0)).toBe(-E.PERM);
    expect(ask(XENMEM.current_reservation, 55)).toBe(-E.SRCH);
    expect(f.call(v, 'memory_op', XENMEM.maximum_ram_page)).toBe(1024);
  });

  test('memory_map: as many entries as fit, -ENOSYS without a map', () => {
    const ask = (nr_entries: number) =>
      f.op(v, 'memory_op', XENMEM.memory_map, abi.memoryMap, { nr_entries, buffer: DATA });
    expect(ask(8).rc).toBe(-E.NOSYS);
    f.control.domain(domain.id);
    const entries = [
      { addr_lo: 0, addr_hi: 0, size_lo: 0x40000, size_hi: 0, type: 1 },
      { addr_lo: 0xfeff8000, addr_hi: 1, size_lo: 0x8000, size_hi: 2, type: 2 },
    ];
    domain.memoryMap = new Uint8Array(40);
    for (const [i, e] of entries.entries()) abi.e820Entry.write(new DataView(domain.memoryMap.buffer), i * 20, e, 8);
    expect(ask(8)).toMatchObject({ rc: 0, out: { nr_entries: 2 } });
    expect(f.get(v, abi.e820Entry, DATA + 20n)).toEqual(entries[1]);
    expect(ask(1)).toMatchObject({ rc: 0, out: { nr_entries: 1 } });
    f.put(v, abi.foreignMemoryMap, { domid: DOMID.SELF, map: { nr_entries: 1, buffer: DATA } });
    expect(f.call(v, 'memory_op', XENMEM.set_memory_map, ARG)).toBe(0);
    expect(domain.memoryMap).toHaveLength(20);
    f.put(v, abi.foreignMemoryMap, { domid: DOMID.SELF, map: { nr_entries: 129, buffer: DATA } });
    expect(f.call(v, 'memory_op', XENMEM.set_memory_map, ARG)).toBe(-E.INVAL);
  });

  const add = (space: number, idx: number, gpfn: number, more: { domid?: number; size?: number } = {}) =>
    f.op(v, 'memory_op', XENMEM.add_to_physmap, abi.addToPhysmap, {
      domid: more.domid ?? DOMID.SELF,
      size: more.size ?? 0,
      space,
      idx: BigInt(idx),
      gpfn,
    }).rc;

  test('add_to_physmap: shared info shows at its new place only, and takes the page there away', () => {
    expect(add(MAPSPACE.shared_info, 0, 10)).toBe(0);
    expect(domain.pages).toBe(RAM_PAGES - 1);
    domain.shared!.setU8(5, 0x77);
    expect(domain.physical.read(10 * 4096 + 5, 1)[0]).toBe(0x77);
    expect(add(MAPSPACE.shared_info, 0, 5000)).toBe(0);
    expect(domain.p2m.mfn(10)).toBe(-1);
    expect(domain.p2m.mfn(5000)).toBe(domain.shared!.mfn);
    expect(domain.pages).toBe(RAM_PAGES - 1);
    expect(add(MAPSPACE.shared_info, 1, 5000)).toBe(-E.INVAL);
    expect(add(MAPSPACE.shared_info, 0, 5000, { domid: 0 })).toBe(-E.PERM);
  });

  test('add_to_physmap: grant table frames grow on demand up to the maximum', () => {
    expect(add(MAPSPACE.grant_table, 3, 5001)).toBe(0);
    expect(domain.grants.frames).toHaveLength(4);
    expect(domain.p2m.mfn(5001)).toBe(domain.grants.frames[3].mfn);
    expect(add(MAPSPACE.grant_table, 64, 5002)).toBe(-E.INVAL);
    expect(add(MAPSPACE.grant_table, 0x80000000, 5002)).toBe(-E.INVAL);
  });

  test('add_to_physmap: gmfn and gmfn_range move pages', () => {
    domain.physical.write(7 * 4096, Uint8Array.of(42));
    expect(add(MAPSPACE.gmfn, 7, 5003)).toBe(0);
    expect(domain.p2m.mfn(7)).toBe(-1);
    expect(domain.physical.read(5003 * 4096, 1)[0]).toBe(42);
    expect(add(MAPSPACE.gmfn, 7, 5004)).toBe(-E.INVAL);
    expect(add(MAPSPACE.gmfn_range, 20, 6000, { size: 3 })).toBe(0);
    expect([6000, 6001, 6002, 6003].map((g) => domain.p2m.mfn(g) > 0)).toEqual([true, true, true, false]);
    expect(add(MAPSPACE.gmfn_foreign, 0, 5005)).toBe(-E.INVAL);
    expect(add(MAPSPACE.dev_mmio, 0, 5005)).toBe(-E.NOSYS);
    expect(domain.pages).toBe(RAM_PAGES);
  });

  test('add_to_physmap_batch: one error code an entry', () => {
    const idxs = [0, 70, 1];
    for (const [i, idx] of idxs.entries()) {
      f.put(v, ulong, BigInt(idx), DATA + BigInt(i * width));
      f.put(v, pfn, 7000 + i, DATA + 0x100n + BigInt(i * width));
      f.put(v, i32, 99, DATA + 0x200n + BigInt(i * 4));
    }
    const batch = {
      domid: DOMID.SELF,
      space: MAPSPACE.grant_table,
      size: 3,
      foreign_domid: 0,
      idxs: DATA,
      gpfns: DATA + 0x100n,
      errs: DATA + 0x200n,
    };
    expect(f.op(v, 'memory_op', XENMEM.add_to_physmap_batch, abi.addToPhysmapBatch, batch).rc).toBe(0);
    expect([0, 1, 2].map((i) => f.get(v, i32, DATA + 0x200n + BigInt(4 * i)))).toEqual([0, -E.INVAL, 0]);
    const again = (change: object) =>
      f.op(v, 'memory_op', XENMEM.add_to_physmap_batch, abi.addToPhysmapBatch, { ...batch, ...change }).rc;
    expect(again({ space: MAPSPACE.gmfn_range })).toBe(-E.INVAL);
    expect(again({ space: MAPSPACE.gmfn_foreign })).toBe(-E.PERM);
    expect(again({ foreign_domid: 3 })).toBe(-E.INVAL);
  });

  test('remove_from_physmap makes a hole; the page still counts', () => {
    const remove = (gpfn: number) =>
      f.op(v, 'memory_op', XENMEM.remove_from_physmap, abi.removeFromPhysmap, { domid: DOMID.SELF, gpfn }).rc;
    expect([remove(9), remove(9), remove(123456)]).toEqual([0, -E.NOENT, -E.NOENT]);
    expect(domain.p2m.mfn(9)).toBe(-1);
    expect(domain.pages).toBe(RAM_PAGES);
    const free = f.engine.frames.freeFrames;
    f.xen.shutdown(domain, 0);
    f.xen.destroy(domain);
    expect(f.engine.frames.freeFrames).toBeGreaterThanOrEqual(free + RAM_PAGES);
  });

  test('changes of a running domain are on the log', () => {
    reservation(XENMEM.populate_physmap, [100]);
    reservation(XENMEM.decrease_reservation, [100]);
    expect(f.events('p2m-change')).toMatchObject([
      { domain: domain.id, gfn: 100, count: 1, type: 'ram' },
      { gfn: 100, type: 'none' },
    ]);
  });

  test('what is refused: control operations and unknown ones', () => {
    for (const sub of [XENMEM.claim_pages, XENMEM.acquire_resource, XENMEM.set_pod_target, XENMEM.get_pod_target]) {
      expect(f.call(v, 'memory_op', sub, ARG)).toBe(-E.PERM);
    }
    for (const sub of [XENMEM.machine_memory_map, XENMEM.machphys_mapping, XENMEM.exchange, XENMEM.sharing_op, 60]) {
      expect(f.call(v, 'memory_op', sub, ARG)).toBe(-E.NOSYS);
    }
    expect(f.call(v, 'memory_op', XENMEM.get_vnumainfo, ARG)).toBe(-E.OPNOTSUPP);
    expect(f.events('unimplemented')).toHaveLength(5);
  });
});

test('a destroyed domain gives all its frames back', () => {
  const f = new Fixture();
  f.domain();
  const free = f.engine.frames.freeFrames;
  const second = f.domain({ vcpus: 3 });
  second.grants.grow(5);
  f.xen.destroy(second);
  expect(f.engine.frames.freeFrames).toBe(free);
  expect(f.xen.find(second.id)).toBeUndefined();
});
