import { describe, expect, test } from 'vitest';
import * as evtchn from '../../src/hypervisor/abi/event-channel.ts';
import * as gnt from '../../src/hypervisor/abi/grant-table.ts';
import * as hvm from '../../src/hypervisor/abi/hvm.ts';
import * as memory from '../../src/hypervisor/abi/memory.ts';
import * as sched from '../../src/hypervisor/abi/sched.ts';
import {
  array,
  bytes,
  i16,
  pfn,
  type Struct,
  struct,
  u8,
  u16,
  u32,
  u64,
  ulong,
  union,
} from '../../src/hypervisor/abi/struct.ts';
import * as vcpu from '../../src/hypervisor/abi/vcpu.ts';
import * as xen from '../../src/hypervisor/abi/xen.ts';

/** Sizes and offsets as gcc gives them for Xen's public headers, -m32 and -m64. */
// biome-ignore lint/suspicious/noExplicitAny: a table over all structures
const LAYOUTS: [Struct<any>, size32: number, size64: number, [field: string, at32: number, at64: number][]][] = [
  [
    memory.reservation,
    20,
    32,
    [
      ['nr_extents', 4, 8],
      ['extent_order', 8, 16],
      ['domid', 16, 24],
    ],
  ],
  [
    memory.exchange,
    44,
    72,
    [
      ['out', 20, 32],
      ['nr_exchanged', 40, 64],
    ],
  ],
  [
    memory.addToPhysmap,
    16,
    24,
    [
      ['size', 2, 2],
      ['space', 4, 4],
      ['idx', 8, 8],
      ['gpfn', 12, 16],
    ],
  ],
  [
    memory.addToPhysmapBatch,
    20,
    32,
    [
      ['foreign_domid', 6, 6],
      ['idxs', 8, 8],
      ['errs', 16, 24],
    ],
  ],
  [memory.removeFromPhysmap, 8, 16, [['gpfn', 4, 8]]],
  [memory.memoryMap, 8, 16, [['buffer', 4, 8]]],
  [memory.foreignMemoryMap, 12, 24, [['map', 4, 8]]],
  [
    evtchn.status,
    24,
    24,
    [
      ['status', 8, 8],
      ['vcpu', 12, 12],
      ['u', 16, 16],
    ],
  ],
  [
    evtchn.bindInterdomain,
    12,
    12,
    [
      ['remote_port', 4, 4],
      ['local_port', 8, 8],
    ],
  ],
  [
    gnt.mapGrantRef,
    32,
    32,
    [
      ['flags', 8, 8],
      ['ref', 12, 12],
      ['dom', 16, 16],
      ['status', 18, 18],
      ['handle', 20, 20],
      ['dev_bus_addr', 24, 24],
    ],
  ],
  [
    gnt.unmapGrantRef,
    24,
    24,
    [
      ['handle', 16, 16],
      ['status', 20, 20],
    ],
  ],
  [
    gnt.setupTable,
    16,
    24,
    [
      ['nr_frames', 4, 4],
      ['status', 8, 8],
      ['frame_list', 12, 16],
    ],
  ],
  [
    gnt.copy,
    24,
    40,
    [
      ['dest', 8, 16],
      ['len', 16, 32],
      ['flags', 18, 34],
      ['status', 20, 36],
    ],
  ],
  [
    gnt.querySize,
    16,
    16,
    [
      ['max_nr_frames', 8, 8],
      ['status', 12, 12],
    ],
  ],
  [
    gnt.transfer,
    16,
    24,
    [
      ['domid', 4, 8],
      ['ref', 8, 12],
      ['status', 12, 16],
    ],
  ],
  [
    sched.poll,
    16,
    24,
    [
      ['nr_ports', 4, 8],
      ['timeout', 8, 16],
    ],
  ],
  [
    vcpu.runstateInfo,
    44,
    48,
    [
      ['state_entry_time', 4, 8],
      ['time', 12, 16],
    ],
  ],
  [vcpu.singleshotTimer, 12, 16, [['flags', 8, 8]]],
  [vcpu.registerVcpuInfo, 16, 16, [['offset', 8, 8]]],
  [
    hvm.hvmParam,
    16,
    16,
    [
      ['index', 4, 4],
      ['value', 8, 8],
    ],
  ],
  [hvm.upcallVector, 8, 8, [['vector', 4, 4]]],
  [hvm.pagetableDying, 16, 16, [['gpa', 8, 8]]],
  [
    hvm.vcpuHvmX86_64,
    112,
    112,
    [
      ['rip', 64, 64],
      ['efer', 104, 104],
    ],
  ],
  [
    hvm.vcpuHvmX86_32,
    120,
    120,
    [
      ['efer', 56, 56],
      ['cs_base', 64, 64],
      ['cs_limit', 84, 84],
      ['cs_ar', 104, 104],
      ['tr_ar', 112, 112],
    ],
  ],
  [
    xen.vcpuInfo,
    64,
    64,
    [
      ['evtchn_pending_sel', 4, 8],
      ['arch_cr2', 8, 16],
      ['time', 32, 32],
    ],
  ],
  [
    xen.vcpuTimeInfo,
    32,
    32,
    [
      ['tsc_timestamp', 8, 8],
      ['tsc_to_system_mul', 24, 24],
      ['flags', 29, 29],
    ],
  ],
  [
    xen.multicallEntry,
    32,
    64,
    [
      ['result', 4, 8],
      ['args', 8, 16],
    ],
  ],
];

describe('layouts of the public headers', () => {
  test.each(LAYOUTS.map((row) => [row[0].name, ...row] as const))('%s', (_name, type, size32, size64, fields) => {
    expect([type.size(4), type.size(8)]).toEqual([size32, size64]);
    for (const [field, at32, at64] of fields)
      expect([field, type.offset(field, 4), type.offset(field, 8)]).toEqual([field, at32, at64]);
  });

  test('the shared info page', () => {
    const at = (f: 'evtchn_pending' | 'evtchn_mask' | 'wc_version' | 'wc_sec_hi') => [
      xen.sharedInfo[4].offset(f, 4),
      xen.sharedInfo[8].offset(f, 8),
    ];
    expect(at('evtchn_pending')).toEqual([0x800, 0x800]);
    expect(at('evtchn_mask')).toEqual([0x880, 0xa00]);
    expect(at('wc_version')).toEqual([0x900, 0xc00]);
    expect(at('wc_sec_hi')).toEqual([0x924, 0xc0c]);
  });
});

test('values survive writing and reading in both widths', () => {
  const type = struct('mixed', {
    a: u8,
    b: u16,
    c: u32,
    d: u64,
    e: ulong,
    f: pfn,
    g: i16,
    h: bytes(3),
    i: array(u16, 2),
    j: union({ x: u32, y: struct('y', { p: u16, q: u16 }) }),
  });
  for (const w of [4, 8] as const) {
    const buffer = new Uint8Array(type.size(w) + 5);
    const view = new DataView(buffer.buffer);
    const value = {
      a: 250,
      b: 65000,
      c: 0xfedcba98,
      d: 0x123456789abcdef0n,
      e: w === 8 ? 0xffff800000000000n : 0xfffffff0n,
      f: w === 8 ? 2 ** 40 + 5 : 0xfffffffe,
      g: -2,
      h: Uint8Array.of(1, 2, 3),
      i: [7, 65535],
      j: { x: 0x00020001 },
    };
    type.write(view, 5, value, w);
    expect(type.read(view, 5, w)).toEqual({ ...value, j: { x: 0x00020001, y: { p: 1, q: 2 } } });
  }
});

test('a union is written by one member', () => {
  const type = union({ a: u8, b: u32 });
  expect(() => type.write(new DataView(new ArrayBuffer(8)), 0, { a: 1, b: 2 }, 8)).toThrow(/exactly one/);
});
