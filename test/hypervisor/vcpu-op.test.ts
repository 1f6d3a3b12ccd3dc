import { beforeEach, describe, expect, test } from 'vitest';
import { ticks } from '../../src/base/ticks.ts';
import * as L from '../../src/cpu/layout.ts';
import { EFER, REG, SEG } from '../../src/cpu/state.ts';
import { E } from '../../src/hypervisor/abi/errno.ts';
import * as hvm from '../../src/hypervisor/abi/hvm.ts';
import * as abi from '../../src/hypervisor/abi/vcpu.ts';
import { RUNSTATE, VCPUOP } from '../../src/hypervisor/abi/vcpu.ts';
import { vcpuTimeInfo, VIRQ } from '../../src/hypervisor/abi/xen.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import type { Vcpu } from '../../src/hypervisor/vcpu.ts';
import { ARG, DATA, Fixture, HOLE, WIDTHS } from './fixture.ts';

const REGS32 = {
  eax: 1,
  ecx: 2,
  edx: 3,
  ebx: 4,
  esp: 5,
  ebp: 6,
  esi: 7,
  edi: 8,
  eip: 0x100000,
  eflags: 2,
  cr0: 0x11,
  cr3: 0,
  cr4: 0,
  pad1: 0,
  efer: 0n,
  cs_base: 0,
  ds_base: 0,
  ss_base: 0,
  es_base: 0,
  tr_base: 0,
  cs_limit: 0xffffffff,
  ds_limit: 0xffffffff,
  ss_limit: 0xffffffff,
  es_limit: 0xffffffff,
  tr_limit: 0x67,
  cs_ar: 0xc9b,
  ds_ar: 0xc93,
  ss_ar: 0xc93,
  es_ar: 0xc93,
  tr_ar: 0x8b,
  pad2: new Uint8Array(6),
};
const REGS64 = {
  rax: 1n,
  rcx: 0n,
  rdx: 0n,
  rbx: 0n,
  rsp: 0xffff800000001000n,
  rbp: 0n,
  rsi: 0n,
  rdi: 9n,
  rip: 0xffffffff81000000n,
  rflags: 2n,
  cr0: 0x80000011n,
  cr3: 0x5000n,
  cr4: 0x20n,
  efer: 0x100n,
};

describe.each(WIDTHS)('vcpu_op from a caller with %i-byte longs', (width) => {
  let f: Fixture;
  let domain: Domain;
  let v: Vcpu;
  let other: Vcpu;
  beforeEach(() => {
    f = new Fixture(width, { pcpus: 2 });
    domain = f.domain({ vcpus: 3 });
    [v, other] = domain.vcpus;
  });
  const op = (sub: number, vcpu = 0, arg: bigint = ARG) => f.call(v, 'vcpu_op', sub, vcpu, arg);
  const initialise = (mode: number, regs: object, vcpu = 1, pad = 0) => {
    f.put(v, hvm.vcpuHvmMode, { mode, pad });
    if (mode === 1) f.put(v, hvm.vcpuHvmX86_64, { ...REGS64, ...regs }, ARG + 8n);
    else f.put(v, hvm.vcpuHvmX86_32, { ...REGS32, ...regs }, ARG + 8n);
    return op(VCPUOP.initialise, vcpu);
  };

  test('initialise, up, is_up, down: 64-bit start', () => {
    expect(op(VCPUOP.up, 1)).toBe(-E.INVAL);
    expect(initialise(1, {})).toBe(0);
    expect(initialise(1, {})).toBe(-E.EXIST);
    expect(op(VCPUOP.is_up, 1)).toBe(0);
    expect(op(VCPUOP.up, 1)).toBe(0);
    expect(op(VCPUOP.is_up, 1)).toBe(1);
    f.machine.run(ticks(150));
    f.engine.switchTo(other.slot);
    const s = f.engine.state;
    expect([s.rip, s.reg(REG.RDI), s.reg(REG.RSP), s.cr3]).toEqual([
      0xffffffff81000000n,
      9n,
      0xffff800000001000n,
      0x5000n,
    ]);
    expect([s.efer & EFER.LMA, s.is64, s.attributes(SEG.SS), s.cpl]).toEqual([EFER.LMA, true, 0xc093, 0]);
    expect(op(VCPUOP.down, 1)).toBe(0);
    expect(op(VCPUOP.is_up, 1)).toBe(0);
    expect(f.events('vcpu-up').at(-1)).toMatchObject({ vcpu: 1, rip: 0xffffffff81000000n });
    expect(f.events('vcpu-down')).toMatchObject([{ vcpu: 1 }]);
  });

  test('initialise: 32-bit start, segments as given', () => {
    expect(initialise(0, { ds_base: 0x1000, ds_ar: 0xc92 })).toBe(0);
    op(VCPUOP.up, 1);
    f.machine.run(ticks(150));
    f.engine.switchTo(other.slot);
    const s = f.engine.state;
    expect([s.rip, s.reg(REG.RBX), s.reg(REG.RDI), s.cr0]).toEqual([0x100000n, 4n, 8n, 0x11]);
    expect([s.base(SEG.DS), s.attributes(SEG.DS), s.is64]).toEqual([0x1000n, 0xc093, false]);
    expect(s.get32(L.ACTIVITY)).toBe(0);
  });

  test.each([
    ['mode', 2, {}],
    ['no paging', 1, { cr0: 0x11n }],
    ['no PAE', 1, { cr4: 0n }],
    ['no LME', 1, { efer: 0n }],
    ['RIP not canonical', 1, { rip: 0x800000000000n }],
    ['pad1', 0, { pad1: 1 }],
    ['pad2', 0, { pad2: Uint8Array.of(0, 0, 0, 0, 1, 0) }],
    ['CS is data', 0, { cs_ar: 0xc93 }],
    ['SS is code', 0, { ss_ar: 0xc9b }],
    ['SS read-only', 0, { ss_ar: 0xc91 }],
    ['TR is data', 0, { tr_ar: 0x93 }],
    ['attributes beyond bit 11', 0, { ds_ar: 0x1c93 }],
    ['CS null', 0, { cs_ar: 0 }],
    ['DS not present', 0, { ds_ar: 0xc13 }],
    ['EIP beyond the limit', 0, { cs_limit: 0xfff, cs_ar: 0x49b }],
    ['SS of another privilege', 0, { ss_ar: 0xcf3 }],
    ['LMA without LME', 0, { efer: 0x400n }],
    ['unknown CR4 bits', 0, { cr4: 0x80000000 }],
    ['unknown EFER bits', 1, { efer: 0x80000100n }],
    ['paging without protection', 0, { cr0: 0x80000010 }],
    ['long mode without PAE', 0, { cr0: 0x80000011, efer: 0x100n }],
    ['virtual-8086 mode', 0, { eflags: 0x20002 }],
  ])('initialise refuses %s', (_what, mode, regs) => {
    expect(initialise(mode, regs)).toBe(-E.INVAL);
    expect(other.initialised).toBe(false);
  });

  test('initialise: padding of the head, and bad addresses', () => {
    expect(initialise(1, {}, 1, 5)).toBe(-E.INVAL);
    expect(op(VCPUOP.initialise, 1, HOLE)).toBe(-E.FAULT);
    expect(op(VCPUOP.initialise, 7)).toBe(-E.NOENT);
  });

  test('the last vcpu that goes down powers the domain off', () => {
    expect(op(VCPUOP.down, 0)).toBe(0);
    expect(domain.shutdownReason).toBe(0);
  });

  test('runstate: asked for, and kept in guest memory', () => {
    f.machine.run(ticks(50));
    expect(op(VCPUOP.get_runstate_info, 0)).toBe(0);
    const info = f.get(v, abi.runstateInfo);
    expect([info.state, info.time[0]]).toEqual([RUNSTATE.running, 50n]);
    expect(op(VCPUOP.get_runstate_info, 1)).toBe(0);
    expect(f.get(v, abi.runstateInfo).state).toBe(RUNSTATE.offline);
    f.put(v, abi.memoryArea, { addr: DATA + 64n });
    expect(op(VCPUOP.register_runstate_memory_area, 0)).toBe(0);
    expect(f.get(v, abi.runstateInfo, DATA + 64n).state).toBe(RUNSTATE.running);
    f.xen.scheduling.block(v);
    f.machine.run(ticks(80));
    const off = f.get(v, abi.runstateInfo, DATA + 64n);
    expect([off.state, off.state_entry_time, off.time[0]]).toEqual([RUNSTATE.blocked, 50n, 50n]);
    f.put(v, abi.memoryArea, { addr: HOLE });
    expect(op(VCPUOP.register_runstate_memory_area, 0)).toBe(-E.FAULT);
  });

  test('register_vcpu_info moves it, once; events go to the new place, all of them pending at first', () => {
    v.info.setU8(40, 7);
    const register = (mfn: bigint, offset: number, vcpu = 0) => {
      f.put(v, abi.registerVcpuInfo, { mfn, offset, rsvd: 0 });
      return op(VCPUOP.register_vcpu_info, vcpu);
    };
    expect(register(5n, 4096 - 63)).toBe(-E.NXIO);
    expect(register(5n, width / 2)).toBe(-E.NXIO);
    expect(register(700n, 0)).toBe(-E.INVAL);
    expect(register(1n << 60n, 0)).toBe(-E.INVAL);
    expect(register(5n, 128)).toBe(0);
    expect(register(5n, 128)).toBe(-E.INVAL);
    const at = 5 * 4096 + 128;
    expect(domain.physical.read(at, 1)[0]).toBe(1); // upcall pending
    expect([...domain.physical.read(at + (width === 8 ? 8 : 4), width)]).toEqual(Array(width).fill(255));
    domain.physical.write(at, new Uint8Array(32));
    const port = domain.events.bindIpi(0);
    domain.events.send(port);
    expect(domain.physical.read(at, 1)[0]).toBe(1);
    expect(register(6n, 0, 1)).toBe(0); // another vcpu, while it is down
    expect(other.info.mfn).toBe(domain.p2m.mfn(6));
  });

  test('vcpu_time_info: 1 GHz scale, even version, and the registered copy', () => {
    f.machine.run(ticks(5));
    const time = () => vcpuTimeInfo.read(v.info.view, domain.offsets.time, 8);
    expect(time()).toMatchObject({ tsc_to_system_mul: 0x80000000, tsc_shift: 1, flags: 1 });
    expect(time().version % 2).toBe(0);
    expect(time().tsc_timestamp).toBe(time().system_time);
    f.put(v, abi.memoryArea, { addr: DATA + 256n });
    expect(op(VCPUOP.register_vcpu_time_memory_area, 0)).toBe(0);
    expect(f.get(v, vcpuTimeInfo, DATA + 256n)).toEqual(time());
    // A guest that moves its TSC gets a new pair when it is next switched in.
    f.engine.switchTo(v.slot);
    f.engine.state.i64[L.TSC_OFFSET >> 3] = 1000n;
    f.xen.scheduling.block(v);
    f.machine.run(ticks(20));
    f.xen.scheduling.unblock(v);
    f.machine.run(ticks(40));
    expect(time().tsc_timestamp - time().system_time).toBe(1000n);
    expect(f.get(v, vcpuTimeInfo, DATA + 256n)).toEqual(time());
  });

  test('single-shot timer: in the future, in the past, stopped, only for oneself', () => {
    const port = domain.events.bindVirq(VIRQ.TIMER, 0);
    const set = (timeout_abs_ns: bigint, flags = 0, vcpu = 0) => {
      f.put(v, abi.singleshotTimer, { timeout_abs_ns, flags });
      return op(VCPUOP.set_singleshot_timer, vcpu);
    };
    expect(set(300n)).toBe(0);
    f.machine.run(ticks(299));
    expect(domain.events.isPending(port)).toBe(false);
    f.machine.run(ticks(301));
    expect(domain.events.isPending(port)).toBe(true);
    domain.events.abi.clearPending(port);
    expect(set(200n)).toBe(0);
    expect(domain.events.isPending(port)).toBe(true);
    domain.events.abi.clearPending(port);
    set(400n);
    expect(op(VCPUOP.stop_singleshot_timer)).toBe(0);
    f.machine.run(ticks(500));
    expect(domain.events.isPending(port)).toBe(false);
    expect(set(600n, 0, 1)).toBe(-E.INVAL);
    expect(op(VCPUOP.stop_singleshot_timer, 1)).toBe(-E.INVAL);
    expect(f.events('timer-set')).toMatchObject([{ timer: 'singleshot', deadline: 300 }, { deadline: 400 }]);
  });

  test('periodic timer', () => {
    f = new Fixture(width, { slice_ticks: 1e6, timeslice_ticks: 1e6 });
    domain = f.domain();
    v = domain.vcpus[0];
    const port = domain.events.bindVirq(VIRQ.TIMER, 0);
    f.put(v, abi.periodicTimer, { period_ns: 999_999n });
    expect(op(VCPUOP.set_periodic_timer)).toBe(-E.INVAL);
    f.put(v, abi.periodicTimer, { period_ns: 1_000_000n });
    expect(op(VCPUOP.set_periodic_timer)).toBe(0);
    f.machine.run(ticks(3_500_000));
    expect(f.events('timer-fire').map((e) => e.tick)).toEqual([1e6, 2e6, 3e6]);
    expect(domain.events.isPending(port)).toBe(true);
    expect(op(VCPUOP.stop_periodic_timer)).toBe(0);
    f.machine.run(ticks(9_000_000));
    expect(f.events('timer-fire')).toHaveLength(3);
  });

  test('send_nmi reaches a blocked vcpu', () => {
    f.xen.scheduling.block(v);
    f.machine.run(ticks(10));
    expect(f.call(v, 'vcpu_op', VCPUOP.send_nmi, 0)).toBe(0);
    f.machine.run(ticks(20));
    expect(f.slot(v).delivered).toMatchObject([{ vector: 2 }]);
  });

  test('the rest', () => {
    expect(op(VCPUOP.get_physid)).toBe(-E.INVAL);
    expect(op(88)).toBe(-E.NOSYS);
    expect(op(VCPUOP.is_up, 3)).toBe(-E.NOENT);
  });
});
