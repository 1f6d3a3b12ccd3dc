import { beforeEach, describe, expect, test } from 'vitest';
import { ticks } from '../../src/base/ticks.ts';
import { E } from '../../src/hypervisor/abi/errno.ts';
import * as abi from '../../src/hypervisor/abi/hvm.ts';
import { HVM_NR_PARAMS, HVM_PARAM, HVMMEM, HVMOP } from '../../src/hypervisor/abi/hvm.ts';
import { DOMID } from '../../src/hypervisor/abi/xen.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import type { Vcpu } from '../../src/hypervisor/vcpu.ts';
import { ARG, Fixture, HOLE, WIDTHS } from './fixture.ts';

describe.each(WIDTHS)('hvm_op from a caller with %i-byte longs', (width) => {
  let f: Fixture;
  let domain: Domain;
  let v: Vcpu;
  beforeEach(() => {
    f = new Fixture(width);
    domain = f.domain({ vcpus: 2 });
    v = domain.vcpus[0];
  });
  const param = (sub: number, index: number, value = 0n, domid: number = DOMID.SELF) =>
    f.op(v, 'hvm_op', sub, abi.hvmParam, { domid, pad: 0, index, value });

  test('a guest reads what the toolstack set for it, and no more', () => {
    domain.params[HVM_PARAM.STORE_PFN] = 0xfeffcn;
    domain.params[HVM_PARAM.CONSOLE_EVTCHN] = 2n;
    expect(param(HVMOP.get_param, HVM_PARAM.STORE_PFN)).toMatchObject({ rc: 0, out: { value: 0xfeffcn } });
    expect(param(HVMOP.get_param, HVM_PARAM.CONSOLE_EVTCHN, 0n, domain.id)).toMatchObject({
      rc: 0,
      out: { value: 2n },
    });
    expect(param(HVMOP.get_param, HVM_PARAM.IDENT_PT).rc).toBe(-E.PERM);
    expect(param(HVMOP.get_param, HVM_PARAM.PAE_ENABLED).rc).toBe(-E.INVAL);
    expect(param(HVMOP.get_param, HVM_NR_PARAMS).rc).toBe(-E.INVAL);
    expect(param(HVMOP.get_param, HVM_PARAM.STORE_PFN, 0n, 0).rc).toBe(-E.PERM);
    expect(param(HVMOP.get_param, HVM_PARAM.STORE_PFN, 0n, 99).rc).toBe(-E.SRCH);
    expect(f.call(v, 'hvm_op', HVMOP.get_param, HOLE)).toBe(-E.FAULT);
  });

  test('a guest sets its callback and few others', () => {
    expect(param(HVMOP.set_param, HVM_PARAM.STORE_PFN, 1n).rc).toBe(-E.PERM);
    expect(param(HVMOP.set_param, HVM_PARAM.NESTEDHVM, 1n).rc).toBe(-E.INVAL);
    expect(param(HVMOP.set_param, HVM_PARAM.STORE_EVTCHN, 9n).rc).toBe(0);
    expect(domain.params[HVM_PARAM.STORE_EVTCHN]).toBe(9n);
    expect(param(HVMOP.set_param, HVM_PARAM.X87_FIP_WIDTH, 5n).rc).toBe(-E.INVAL);
    expect(param(HVMOP.set_param, HVM_PARAM.X87_FIP_WIDTH, 8n).rc).toBe(0);
    expect(param(HVMOP.set_param, HVM_PARAM.VM86_TSS, 0x1000n).rc).toBe(0);
    expect(param(HVMOP.get_param, HVM_PARAM.VM86_TSS).out.value).toBe(0x1000n);
    expect(param(HVMOP.set_param, HVM_PARAM.VM86_TSS, 1n << 32n).rc).toBe(-E.INVAL);
  });

  test('CALLBACK_IRQ by vector: events interrupt the guest until it clears its flag', () => {
    expect(param(HVMOP.set_param, HVM_PARAM.CALLBACK_IRQ, (2n << 56n) | 0xf3n).rc).toBe(0);
    expect(domain.callbackVector).toBe(0xf3);
    const port = domain.events.bindIpi(0);
    domain.events.send(port);
    f.machine.run(ticks(50)); // interrupts are off
    expect(f.slot(v).delivered).toEqual([]);
    f.interrupts(v, true);
    f.slot(v).onInterrupt = () => {
      f.engine.state.eflags = 2;
      v.info.setU8(0, 0);
    };
    f.machine.run(ticks(100));
    expect(f.slot(v).delivered).toMatchObject([{ vector: 0xf3 }]);
    expect(f.events('interrupt-deliver')).toMatchObject([{ vector: 0xf3, domain: domain.id, vcpu: 0 }]);
  });

  test('CALLBACK_IRQ by line is not there: said on the log, nothing is delivered', () => {
    expect(param(HVMOP.set_param, HVM_PARAM.CALLBACK_IRQ, 5n).rc).toBe(0);
    expect(domain.callbackVector).toBe(0);
    expect(f.events('unimplemented')).toHaveLength(1);
  });

  test('CALLBACK_IRQ latches the width of the shared page', () => {
    domain.setWidth(width === 8 ? 4 : 8);
    param(HVMOP.set_param, HVM_PARAM.CALLBACK_IRQ, (2n << 56n) | 0xf3n);
    expect(domain.width).toBe(width);
  });

  test('set_evtchn_upcall_vector: through the local APIC, for one vcpu', () => {
    const set = (vcpu: number, vector: number) =>
      f.op(v, 'hvm_op', HVMOP.set_evtchn_upcall_vector, abi.upcallVector, { vcpu, vector }).rc;
    expect([set(0, 0xf), set(5, 0xf3), set(0, 0xf3)]).toEqual([-E.INVAL, -E.NOENT, 0]);
    v.lapic.write(0xf0, 0x1ff);
    f.interrupts(v, true);
    domain.events.send(domain.events.bindIpi(0));
    f.machine.run(ticks(10));
    f.machine.run(ticks(20));
    expect(f.slot(v).delivered).toHaveLength(1); // in service until EOI
    expect(v.lapic.read(0x100 + 0x70)).toBe(1 << (0xf3 & 31));
    expect(f.events('note')).toMatchObject([{ text: `d${domain.id}v0: upcall vector f3` }]);
  });

  test('get_time, flush_tlbs, get_mem_type, pagetable_dying, guest_request', () => {
    f.machine.run(ticks(777));
    expect(f.op(v, 'hvm_op', HVMOP.get_time, abi.getTime, { now: 0n })).toMatchObject({ rc: 0, out: { now: 777n } });
    expect([f.call(v, 'hvm_op', HVMOP.flush_tlbs, 0), f.call(v, 'hvm_op', HVMOP.flush_tlbs, ARG)]).toEqual([
      0,
      -E.INVAL,
    ]);
    const type = (pfn: bigint) =>
      f.op(v, 'hvm_op', HVMOP.get_mem_type, abi.getMemType, { domid: DOMID.SELF, mem_type: 9, pad0: 0, pad1: 0, pfn })
        .out.mem_type;
    expect([type(3n), type(5000n)]).toEqual([HVMMEM.ram_rw, HVMMEM.mmio_dm]);
    const dying = (domid: number) =>
      f.op(v, 'hvm_op', HVMOP.pagetable_dying, abi.pagetableDying, { domid, pad: 0, pad1: 0, pad2: 0, gpa: 0n }).rc;
    expect([dying(DOMID.SELF), dying(0), dying(99)]).toEqual([-E.INVAL, -E.OPNOTSUPP, -E.SRCH]);
    expect([
      f.call(v, 'hvm_op', HVMOP.guest_request_vm_event, 0),
      f.call(v, 'hvm_op', HVMOP.guest_request_vm_event, 1),
    ]).toEqual([0, -E.INVAL]);
    expect(f.call(v, 'hvm_op', HVMOP.altp2m, ARG)).toBe(-E.OPNOTSUPP);
    for (const sub of [HVMOP.set_pci_intx_level, HVMOP.inject_trap, 200])
      expect(f.call(v, 'hvm_op', sub, ARG)).toBe(-E.NOSYS);
  });
});
