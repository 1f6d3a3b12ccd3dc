/** What back ends do in place of Domain 0's kernel: grants, ports, timers. */
import { beforeEach, describe, expect, test } from 'vitest';
import { GRANT_ENTRY_BYTES, GTF } from '../../src/hypervisor/abi/grant-table.ts';
import type { Dom0Services } from '../../src/hypervisor/dom0-services.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import { Fixture } from './fixture.ts';

let f: Fixture;
let domain: Domain;
let services: Dom0Services;
beforeEach(() => {
  f = new Fixture();
  domain = f.domain();
  services = f.control.backends;
});

const grant = (ref: number, gfn: number, flags: number = GTF.permit_access, to = 0) => {
  const [page] = domain.grants.frames;
  page!.setU32(ref * GRANT_ENTRY_BYTES[1], (flags | (to << 16)) >>> 0);
  page!.setU32(ref * GRANT_ENTRY_BYTES[1] + 4, gfn);
};
const flags = (ref: number) => domain.grants.entry(ref)!.flags;

describe('granted pages', () => {
  test('are mapped, seen by the guest, and let go', () => {
    grant(9, 5);
    const mapped = services.mapGrant(domain.id, 9, false)!;
    expect(flags(9) & (GTF.reading | GTF.writing)).toBe(GTF.reading | GTF.writing);
    mapped.page[100] = 0x77;
    mapped.written();
    expect(domain.physical.read(5 * 4096 + 100, 1)[0]).toBe(0x77);
    expect(services.mappedGrant(mapped.handle).page[100]).toBe(0x77);
    services.unmapGrant(mapped.handle);
    expect([flags(9) & (GTF.reading | GTF.writing), f.xen.refs.save().uses]).toEqual([0, []]);
    expect(() => services.mappedGrant(mapped.handle)).toThrow(RangeError);
    expect(f.events('grant-map')).toMatchObject([{ domain: 0, granter: domain.id, ref: 9, status: 0 }]);
    expect(f.events('grant-unmap')).toMatchObject([{ domain: 0, ref: 9, status: 0 }]);
  });

  test('only as they were granted, and to Domain 0', () => {
    grant(9, 5, GTF.permit_access | GTF.readonly);
    grant(10, 5, GTF.permit_access, 3);
    expect(services.mapGrant(domain.id, 9, false)).toBeUndefined();
    expect(services.mapGrant(domain.id, 10, true)).toBeUndefined();
    expect(services.mapGrant(domain.id, 100_000, true)).toBeUndefined();
    expect(services.mapGrant(99, 9, true)).toBeUndefined();
    expect(services.mapGrant(domain.id, 9, true)).toBeDefined();
    expect(f.events('grant-map').map((e) => 'status' in e && e.status)).toEqual([-1, -1, -3, -2, 0]);
  });

  test('are copied to and from, within the page', () => {
    grant(9, 5);
    expect(services.copyToGrant(domain.id, 9, 4090, Uint8Array.of(1, 2, 3))).toBe(true);
    expect(services.copyFromGrant(domain.id, 9, 4089, 5)).toEqual(Uint8Array.of(0, 1, 2, 3, 0));
    expect(services.copyToGrant(domain.id, 9, 4094, Uint8Array.of(1, 2, 3))).toBe(false);
    expect(services.copyFromGrant(domain.id, 8, 0, 1)).toBeUndefined();
    expect(f.events('grant-copy').map((e) => 'status' in e && e.status)).toEqual([0, 0, -10, -1]);
  });

  test('of a domain that is gone stay until they are let go', () => {
    grant(9, 5);
    const { handle, page } = services.mapGrant(domain.id, 9, false)!;
    page[0] = 1;
    const free = f.engine.frames.freeFrames;
    f.xen.destroy(domain);
    expect(services.mappedGrant(handle).page[0]).toBe(1);
    const before = f.engine.frames.freeFrames;
    services.unmapGrant(handle);
    expect(f.engine.frames.freeFrames).toBe(before + 1);
    expect(before).toBeGreaterThan(free);
  });
});

test('a port that the domain does not offer is not bound', () => {
  const port = domain.events.allocUnbound(0);
  expect(services.bindPort(domain.id, port + 1, () => {})).toBeUndefined();
  expect(services.bindPort(domain.id, Number.NaN, () => {})).toBeUndefined();
  expect(services.bindPort(99, port, () => {})).toBeUndefined();
  let calls = 0;
  const local = services.bindPort(domain.id, port, () => calls++)!;
  f.machine.run(10 as never);
  const first = calls;
  domain.events.send(port);
  f.machine.run(20 as never);
  expect(calls).toBe(first + 1);
  services.closePort(local);
  expect(domain.events.get(port).kind).toBe('unbound');
});

test('a timer fires so many ticks later, and not after its removal', () => {
  const fired: number[] = [];
  const timer = services.timer('test', () => fired.push(f.machine.now()));
  f.machine.run(100 as never);
  const now = f.machine.now();
  timer.set(500);
  expect(timer.armed).toBe(true);
  f.machine.run((now + 2000) as never);
  expect([fired, timer.armed]).toEqual([[now + 500], false]);
  timer.set(100);
  timer.remove();
  f.machine.run((now + 4000) as never);
  expect(fired).toHaveLength(1);
});
