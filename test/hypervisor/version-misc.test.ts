import { beforeEach, describe, expect, test } from 'vitest';
import { E } from '../../src/hypervisor/abi/errno.ts';
import * as version from '../../src/hypervisor/abi/version.ts';
import { XENFEAT, XENVER } from '../../src/hypervisor/abi/version.ts';
import { CONSOLEIO, HYPERCALL, multicallEntry, VMASST } from '../../src/hypervisor/abi/xen.ts';
import type { Domain } from '../../src/hypervisor/domain.ts';
import { HYPERCALL_NAMES } from '../../src/hypervisor/hypercalls/table.ts';
import type { Vcpu } from '../../src/hypervisor/vcpu.ts';
import { ARG, DATA, Fixture, HOLE, WIDTHS } from './fixture.ts';

describe.each(WIDTHS)('hypercalls of a caller with %i-byte longs', (width) => {
  let f: Fixture;
  let domain: Domain;
  let v: Vcpu;
  beforeEach(() => {
    f = new Fixture(width);
    domain = f.domain({ uuid: Uint8Array.from({ length: 16 }, (_, i) => i + 1) });
    v = domain.vcpus[0];
  });
  const text = (at: bigint, length: number) =>
    String.fromCharCode(...domain.physical.read(Number(at), length)).replace(/\0.*$/s, '');
  const ver = (sub: number, arg: bigint = DATA) => f.call(v, 'xen_version', sub, arg);

  test('xen_version says 4.17 in all its ways', () => {
    expect(ver(XENVER.version)).toBe(0x40011);
    expect([ver(XENVER.extraversion), text(DATA, 16)]).toEqual([0, '.7']);
    expect(ver(XENVER.capabilities)).toBe(0);
    expect(text(DATA, 1024).split(' ').slice(0, 2)).toEqual(['xen-3.0-x86_64', 'hvm-3.0-x86_32']);
    expect([ver(XENVER.changeset), text(DATA, 64)]).toEqual([0, '<denied>']);
    expect([ver(XENVER.commandline), text(DATA, 1024)]).toEqual([0, '<denied>']);
    domain.physical.write(Number(DATA), new Uint8Array(200).fill(0xff));
    expect(ver(XENVER.compile_info)).toBe(0);
    expect([text(DATA, 64), text(DATA + 64n, 16), domain.physical.read(Number(DATA) + 144, 1)[0]]).toEqual([
      'rexen',
      '<denied>',
      0xff,
    ]);
    expect([ver(XENVER.pagesize, 0n), ver(XENVER.pagesize)]).toEqual([4096, -E.INVAL]);
    expect([ver(XENVER.guest_handle), ...domain.physical.read(Number(DATA), 16)]).toEqual([0, ...domain.uuid]);
    expect(ver(XENVER.build_id)).toBe(-E.NODATA);
    expect([ver(11), ver(XENVER.extraversion, HOLE)]).toEqual([-E.NOSYS, -E.FAULT]);
    const { rc, out } = f.op(v, 'xen_version', XENVER.platform_parameters, version.platformParameters, {
      virt_start: 0n,
    });
    expect([rc, out.virt_start]).toEqual([0, width === 8 ? 0xffff800000000000n : 0xf5800000n]);
  });

  test('features of a translated guest', () => {
    const ask = (submap_idx: number) =>
      f.op(v, 'xen_version', XENVER.get_features, version.featureInfo, { submap_idx, submap: 0 });
    const bits = ask(0).out.submap;
    const has = (bit: number) => ((bits >> bit) & 1) === 1;
    for (const bit of [XENFEAT.auto_translated_physmap, XENFEAT.hvm_callback_vector, XENFEAT.hvm_safe_pvclock])
      expect(has(bit)).toBe(true);
    for (const bit of [XENFEAT.hvm_pirqs, XENFEAT.dom0, XENFEAT.supervisor_mode_kernel]) expect(has(bit)).toBe(false);
    expect(ask(1).rc).toBe(-E.INVAL);
  });

  test('console_io: writing is an event, reading is refused', () => {
    domain.physical.write(Number(DATA), new TextEncoder().encode('hello xen\n'));
    expect(f.call(v, 'console_io', CONSOLEIO.write, 10, DATA)).toBe(0);
    const [event] = f.events('console-io') as unknown as { bytes: Uint8Array }[];
    expect(new TextDecoder().decode(event.bytes)).toBe('hello xen\n');
    expect(f.call(v, 'console_io', CONSOLEIO.read, 10, DATA)).toBe(-E.PERM);
    expect(f.call(v, 'console_io', CONSOLEIO.write, 10, HOLE)).toBe(-E.FAULT);
    expect(f.call(v, 'console_io', 2, 10, DATA)).toBe(-E.NOSYS);
  });

  test('vm_assist knows the runstate flag only', () => {
    const assist = (cmd: number, type: number) => f.call(v, 'vm_assist', cmd, type);
    expect(assist(VMASST.CMD_enable, VMASST.TYPE_runstate_update_flag)).toBe(0);
    expect(domain.vmAssist).toBe(1n << 5n);
    expect(assist(VMASST.CMD_disable, VMASST.TYPE_runstate_update_flag)).toBe(0);
    expect(domain.vmAssist).toBe(0n);
    expect([assist(0, VMASST.TYPE_4gb_segments), assist(0, 64), assist(5, 5)]).toEqual([-E.INVAL, -E.INVAL, -E.NOSYS]);
  });

  test('multicall: each entry its own result; none within another', () => {
    const size = BigInt(multicallEntry.size(width));
    const entry = (op: number, ...args: bigint[]) => ({
      op: BigInt(op),
      result: 99n,
      args: Array.from({ length: 6 }, (_, i) => args[i] ?? 0n),
    });
    const list = [
      entry(HYPERCALL.xen_version, 0n),
      entry(HYPERCALL.xen_version, 1n, HOLE),
      entry(77),
      entry(HYPERCALL.multicall, ARG, 1n),
      entry(HYPERCALL.xen_version, BigInt(XENVER.pagesize)),
    ];
    for (const [i, e] of list.entries()) f.put(v, multicallEntry, e, ARG + BigInt(i) * size);
    expect(f.call(v, 'multicall', ARG, list.length)).toBe(0);
    const results = list.map((_, i) =>
      BigInt.asIntN(width * 8, f.get(v, multicallEntry, ARG + BigInt(i) * size).result),
    );
    expect(results).toEqual([0x40011n, BigInt(-E.FAULT), BigInt(-E.NOSYS), BigInt(-E.NOSYS), 4096n]);
    expect(f.call(v, 'multicall', HOLE, 1)).toBe(-E.FAULT);
  });

  test('arrays of absurd length are refused', () => {
    const many = 65_537;
    expect(f.call(v, 'multicall', ARG, many)).toBe(-E['2BIG']);
    expect(f.call(v, 'grant_table_op', 0, ARG, many)).toBe(-E['2BIG']);
    expect(f.call(v, 'console_io', CONSOLEIO.write, many, DATA)).toBe(-E['2BIG']);
  });

  test('calls that a PVH guest does not have', () => {
    for (const nr of [HYPERCALL.mmu_update, HYPERCALL.set_gdt, HYPERCALL.iret, HYPERCALL.callback_op, 63, 0xffffffff]) {
      expect(f.callNumber(v, nr)).toBe(-E.NOSYS);
    }
    expect(f.events('unimplemented')).toHaveLength(6);
    for (const name of ['domctl', 'sysctl', 'platform_op'] as const) expect(f.call(v, name, ARG)).toBe(-E.PERM);
    expect(f.call(v, 'physdev_op', 3, ARG)).toBe(-E.NOSYS);
    expect(f.call(v, 'xsm_op', ARG)).toBe(-E.NOSYS);
  });

  test('calls and results are on the log, arguments as the caller’s width has them', () => {
    f.engine.switchTo(v.slot);
    f.call(v, 'xen_version', 0, 0xffff_ffff_ffffn);
    expect(f.events('hypercall')).toMatchObject([
      { nr: 17, domain: domain.id, vcpu: 0, args: [0n, width === 8 ? 0xffff_ffff_ffffn : 0xffff_ffffn, 0n, 0n, 0n] },
    ]);
    expect(f.events('hypercall-return')).toMatchObject([{ nr: 17, result: 0x40011n }]);
    f.call(v, 'xen_version', 11);
    expect(f.events('hypercall-return').at(-1)).toMatchObject({ result: BigInt(-E.NOSYS) });
  });

  test('user code and real mode get -EPERM', () => {
    f.engine.switchTo(v.slot);
    f.mode(width, 3);
    expect(f.call(v, 'xen_version', 0)).toBe(-E.PERM);
  });
});

test('hypercalls have names', () => {
  expect(HYPERCALL_NAMES.get(32)).toBe('event_channel_op');
});
