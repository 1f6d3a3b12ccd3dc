import { beforeEach, describe, expect, test } from 'vitest';
import { ticks } from '../../src/base/ticks.ts';
import { Exit } from '../../src/cpu/exits.ts';
import { CR4, FLAG } from '../../src/cpu/state.ts';
import * as L from '../../src/cpu/layout.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import type { Vcpu } from '../../src/hypervisor/vcpu.ts';
import { type FakeSlot, halt, pause } from '../machine/fake-engine.ts';
import { Fixture } from './fixture.ts';

let f: Fixture;
let domain: Domain;
let v: Vcpu;
let slot: FakeSlot;
beforeEach(() => {
  f = new Fixture(8, { pcpus: 2 });
  domain = f.domain({ vcpus: 2 });
  v = domain.vcpus[0];
  slot = f.slot(v);
  f.engine.switchTo(slot);
  f.log.where.domain = domain.id;
  f.log.where.vcpu = 0;
  f.machine.control.leave = false;
});
const leaf = (n: number, sub = 0) => {
  const out = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  slot.exits.cpuid(n, sub, out);
  return out;
};
const ascii = (...words: number[]) => String.fromCharCode(...new Uint8Array(Uint32Array.from(words).buffer));

describe('CPUID', () => {
  test('vendor, features, Xen leaves as a PVH guest of 4.17 sees them', () => {
    const { ebx, ecx, edx } = leaf(0);
    expect(ascii(ebx, edx, ecx)).toBe('AuthenticAMD');
    const xen = leaf(0x40000000);
    expect([ascii(xen.ebx, xen.ecx, xen.edx), xen.eax]).toEqual(['XenVMMXenVMM', 0x40000005]);
    expect(leaf(0x40000001).eax).toBe(0x00040011);
    expect(leaf(0x40000002)).toMatchObject({ eax: 1, ebx: 0x40000000 });
    expect(leaf(0x40000003)).toMatchObject({ ecx: 1_000_000, edx: 1 });
    expect(leaf(0x40000003, 1)).toMatchObject({ ecx: 0x80000000, edx: 1 });
    expect(leaf(0x40000003, 2).eax).toBe(1_000_000);
    expect(leaf(0x40000004)).toEqual({ eax: 0x5c, ebx: 0, ecx: domain.id, edx: 0 });
    expect(leaf(1).ecx >>> 31).toBe(1);
    expect(leaf(0x80000001).edx & (1 << 29)).not.toBe(0);
    // The TSC is invariant: Linux trusts it on several processors of this vendor only then.
    expect(leaf(0x80000007)).toMatchObject({ eax: 0, ebx: 0, ecx: 0, edx: 1 << 8 });
    for (const none of [2, 0x40000005, 0x40000006, 0x40000100, 0x80000009, 0x20000000]) {
      expect(leaf(none)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
    }
  });

  test('what depends on the vcpu: APIC id and OSXSAVE', () => {
    expect(leaf(1).ebx >>> 24).toBe(0);
    expect(leaf(1).ecx & (1 << 27)).toBe(0);
    f.engine.state.set32(L.CR4, CR4.OSXSAVE);
    expect(leaf(1).ecx & (1 << 27)).not.toBe(0);
    f.slot(domain.vcpus[1]).exits.cpuid(1, 0, leaf(0));
    const out = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    f.slot(domain.vcpus[1]).exits.cpuid(1, 0, out);
    expect(out.ebx >>> 24).toBe(2);
  });

  test('is on the log', () => {
    leaf(0x40000001);
    expect(f.events('cpuid')).toMatchObject([{ leaf: 0x40000001, eax: 0x40011 }]);
  });
});

describe('MSRs', () => {
  test('0x40000000 writes the hypercall page and latches the width', () => {
    domain.setWidth(4);
    expect(slot.exits.writeMsr(0x40000000, 0x9000n)).toBe(Exit.CONTINUE);
    expect(domain.width).toBe(8);
    const stub = (n: number) => [...domain.physical.read(0x9000 + 32 * n, 9)];
    expect(stub(17)).toEqual([0xb8, 17, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3]);
    expect(stub(23).slice(0, 2)).toEqual([0x0f, 0x0b]);
    expect(stub(127)[1]).toBe(127);
    expect(slot.exits.writeMsr(0x40000000, 0x9001n)).toBeUndefined();
    expect(slot.exits.writeMsr(0x40000000, 0x7000_0000n)).toBeUndefined();
    expect(slot.exits.writeMsr(0x40000000, 1n << 62n)).toBeUndefined();
    expect(slot.exits.readMsr(0x40000000)).toBeUndefined();
  });

  test('a 32-bit caller latches the 32-bit layout, and the wall clock moves with it', () => {
    f.machine.door.submit({ kind: 'wallclock', seconds: 2 ** 32 + 77, nanoseconds: 5 });
    f.machine.run(ticks(1));
    const at64 = new DataView(domain.shared!.bytes().slice().buffer);
    expect([at64.getUint32(0xc04, true), at64.getUint32(0xc08, true), at64.getUint32(0xc0c, true)]).toEqual([77, 5, 1]);
    f.engine.switchTo(slot);
    f.mode(4);
    slot.exits.writeMsr(0x40000000, 0x9000n);
    const at32 = new DataView(domain.shared!.bytes().slice().buffer);
    expect([at32.getUint32(0x904, true), at32.getUint32(0x908, true), at32.getUint32(0x924, true)]).toEqual([77, 5, 1]);
    expect(at32.getUint32(0x900, true) % 2).toBe(0);
  });

  test('unknown ones raise #GP and say so; known constants read', () => {
    expect(slot.exits.readMsr(0x12345)).toBeUndefined();
    expect(slot.exits.writeMsr(0x12345, 0n)).toBeUndefined();
    expect(slot.exits.readMsr(0xc0010015)).toBe(0n);
    expect(f.events('unimplemented')).toMatchObject([
      { what: 'msr', nr: 0x12345, sub: 0 },
      { what: 'msr', sub: 1 },
    ]);
    expect(slot.exits.writeMsr(0x1b, 0xfee00d00n)).toBe(Exit.CONTINUE);
    expect(slot.exits.writeMsr(0x1b, 0xfee00900n)).toBeUndefined(); // out of x2APIC mode
    expect(slot.exits.writeMsr(0x1b, 0xfed00d00n)).toBeUndefined(); // moved
  });
});

describe('ports and MMIO', () => {
  test('reads float high, writes go nowhere, both are on the log', () => {
    expect([slot.exits.portRead(0x60, 1), slot.exits.portRead(0x60, 2), slot.exits.portRead(0x60, 4)]).toEqual([
      0xff, 0xffff, 0xffffffff,
    ]);
    expect(slot.exits.portWrite(0x60, 1, 5)).toBe(Exit.CONTINUE);
    expect(slot.exits.mmioRead(0xf000_0000, 8)).toBe(0xffff_ffff_ffff_ffffn);
    expect(slot.exits.mmioRead(0xf000_0000, 1)).toBe(0xffn);
    slot.exits.mmioWrite(0xf000_0000, 4, 1n);
    expect(f.events('io')).toHaveLength(4);
    expect(f.events('mmio')).toMatchObject([
      { gpa: 0xf0000000n, size: 8, write: false },
      {},
      { write: true, value: 1n },
    ]);
  });

  test('the debug port prints lines', () => {
    for (const c of 'one\ntwo') slot.exits.portWrite(0xe9, 1, c.charCodeAt(0));
    const lines = () =>
      f.events('console-io').map((e) => new TextDecoder().decode((e as unknown as { bytes: Uint8Array }).bytes));
    expect(lines()).toEqual(['one\n']);
    f.xen.shutdown(domain, 0);
    expect(lines()).toEqual(['one\n', 'two']);
  });

  test('the local APIC answers in its page', () => {
    expect(slot.exits.mmioRead(0xfee00030, 4)).toBe(0x50014n);
    expect(slot.exits.mmioRead(0xfee00032, 1)).toBe(0x05n);
    slot.exits.mmioWrite(0xfee000f0, 4, 0x1ffn);
    expect(slot.exits.mmioRead(0xfee000f0, 4)).toBe(0x1ffn);
    slot.exits.writeMsr(0x1b, 0xfee00d00n);
    expect(slot.exits.mmioRead(0xfee00030, 4)).toBe(0xffffffffn);
    expect(slot.exits.readMsr(0x803)).toBe(0x50014n);
  });
});

describe('HLT, PAUSE, shutdown', () => {
  test('HLT waits for an event and goes on behind it', () => {
    domain.callbackVector = 0xf3;
    f.interrupts(v, true);
    slot.onInterrupt = () => v.info.setU8(0, 0);
    f.script(v, function* () {
      yield 5;
      yield halt;
      yield 20;
      f.xen.shutdown(domain, 0);
    });
    const port = domain.events.bindVirq(0, 0);
    f.xen.timers.setSingleshot(v, ticks(400));
    f.machine.run(ticks(430));
    expect(slot.delivered).toMatchObject([{ vector: 0xf3 }]);
    expect(slot.ran).toBe(6 + 20 + 10);
    expect(port).toBe(1);
    expect(f.events('halt')).toHaveLength(1);
  });

  test('HLT with interrupts off is the end of that vcpu', () => {
    f.script(v, function* () {
      yield halt;
    });
    expect(f.machine.run(ticks(100))).toBe('finished');
    expect(domain.shutdownReason).toBe(0);
  });

  test('HLT with an event already there does not sleep', () => {
    domain.callbackVector = 0xf3;
    f.interrupts(v, true);
    slot.onInterrupt = () => v.info.setU8(0, 0);
    f.script(v, function* () {
      yield () => {
        v.info.setU8(0, 1);
        return Exit.CONTINUE;
      };
      yield halt;
    });
    f.machine.run(ticks(50));
    expect(slot.delivered).toHaveLength(1);
    expect(slot.ran).toBe(50);
  });

  test('PAUSE gives the turn away only if somebody else runs', () => {
    f.script(v, function* () {
      for (;;) yield pause;
    });
    f.machine.run(ticks(90));
    expect(f.engine.runs).toHaveLength(1);
    const other = f.domain();
    f.machine.run(ticks(1000));
    expect(f.slot(other.vcpus[0]).ran).toBeGreaterThan(800);
  });

  test('a triple fault ends the domain as its parameter says', () => {
    slot.exits.tripleFault();
    expect(domain.shutdownReason).toBe(1);
    expect(f.events('triple-fault')).toHaveLength(1);
  });

  test('interruptWindow says whether something waits', () => {
    domain.callbackVector = 0xf3;
    expect(slot.exits.interruptWindow()).toBe(false);
    v.info.setU8(0, 1);
    expect(slot.exits.interruptWindow()).toBe(true);
  });

  test('exceptions and TLB flushes are on the log', () => {
    f.engine.state.rip = 0x1234n;
    slot.exits.exception(14, 6, 0xffff_8000_0000_0010n);
    slot.exits.exception(13, 0, 77n);
    slot.exits.tlbFlush(1, 0x5000n);
    expect(f.events('exception')).toMatchObject([
      { vector: 14, error: 6, cr2: 0xffff800000000010n, rip: 0x1234n },
      { vector: 13, cr2: 0n },
    ]);
    expect(f.events('tlb-flush')).toMatchObject([{ scope: 'invlpg', linear: 0x5000n }]);
  });
});

test('INIT and startup messages start another vcpu in real mode', () => {
  f.engine.switchTo(slot);
  slot.exits.mmioWrite(0xfee000f0, 4, 0x1ffn);
  const to = domain.vcpus[1].id * 2;
  slot.exits.mmioWrite(0xfee00310, 4, BigInt(to << 24));
  slot.exits.mmioWrite(0xfee00300, 4, 0xc500n); // INIT
  expect(domain.vcpus[1].online).toBe(false);
  slot.exits.mmioWrite(0xfee00300, 4, 0x0609n); // startup at 0x9000
  expect(domain.vcpus[1].online).toBe(true);
  f.machine.run(ticks(150));
  f.engine.switchTo(domain.vcpus[1].slot);
  const s = f.engine.state;
  expect([s.selector(1), s.base(1), s.rip, s.cr0 & 1, s.eflags & FLAG.IF]).toEqual([0x900, 0x9000n, 0n, 0, 0]);
});
