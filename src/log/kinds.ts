/**
 * Every kind of event there is: one table. The TypeScript union, the binary records, `--json`, the filters and the
 * printed lines are all derived from it.
 *
 *   input   something the outside world did, stamped by the one door (DESIGN C2). Inputs alone reproduce a session.
 *   effect  something the machine did because of them: searchable, and what a replay is checked against.
 *
 * Numbers and fields go into recordings. A new kind takes a free number, a new name of an enumeration goes to its end;
 * neither disturbs old recordings. Anything else changes the meaning of old files: raise FORMAT_VERSION (recording.ts).
 */

/** Value types of fields, with what they are to a TypeScript user and how many 32-bit words a record spends on them. */
export interface FieldValues {
  /** Unsigned integers, one word. */
  u8: number;
  u16: number;
  u32: number;
  /** Signed, one word. */
  i32: number;
  /** As u32, printed in hexadecimal: bits, port numbers, leaves. */
  hex: number;
  bool: boolean;
  /** An integer below 2^53, two words: ticks, frame numbers, seconds. */
  u53: number;
  /** Two words, low one first. Printed in hexadecimal; a `0x…` string in JSON. */
  u64: bigint;
  /** Two words. In JSON a number, or a decimal string beyond ±2^53. */
  i64: bigint;
  /** Five u64, ten words: the arguments of a hypercall. */
  u64x5: readonly bigint[];
  /** Bytes of any length; hexadecimal in JSON. */
  bytes: Uint8Array;
  /** Bytes of a character stream; in JSON a string with one character a byte (Latin-1), so nothing is lost. */
  chars: Uint8Array;
  /** UTF-8 text. */
  text: string;
}

/** A type above, or the names of an enumeration (one word, the index). */
export type FieldType = keyof FieldValues | readonly string[];

export interface KindSpec {
  readonly number: number;
  readonly door: 'input' | 'effect';
  /** In the order of the record's words. At most 12 words, or 5 beside fields of variable length. */
  readonly fields: Readonly<Record<string, FieldType>>;
}

/** SHUTDOWN_* of xen/include/public/sched.h. */
export const SHUTDOWN_REASONS = ['poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft_reset'] as const;
/** ECS_* of the event channel's status, in rexen's order. */
export const EVTCHN_TYPES = ['unbound', 'interdomain', 'virq', 'ipi', 'pirq'] as const;
export const TIMERS = ['singleshot', 'periodic', 'poll', 'wallclock', 'device', 'apic'] as const;
/** `enum xsd_sockmsg_type` of xen/include/public/io/xs_wire.h, in its order. */
export const XENSTORE_OPS = [
  'control',
  'directory',
  'read',
  'get_perms',
  'watch',
  'unwatch',
  'transaction_start',
  'transaction_end',
  'introduce',
  'release',
  'get_domain_path',
  'write',
  'mkdir',
  'rm',
  'set_perms',
  'watch_event',
  'error',
  'is_domain_introduced',
  'resume',
  'set_target',
  'restrict',
  'reset_watches',
  'directory_part',
] as const;

export const KINDS = {
  // -- inputs ------------------------------------------------------------------------------------------------------
  /** Bytes typed at the console of `domain`. */
  'console-input': { number: 1, door: 'input', fields: { bytes: 'chars' } },
  /** The wall clock, read once at boot: UTC since 1970. */
  wallclock: { number: 2, door: 'input', fields: { seconds: 'u53', nanoseconds: 'u32' } },
  entropy: { number: 3, door: 'input', fields: { bytes: 'bytes' } },
  /** An operator's `xl` command. */
  operator: { number: 4, door: 'input', fields: { text: 'text' } },
  /** First content of a disk, by its SHA-256. */
  'disk-content': { number: 5, door: 'input', fields: { device: 'text', sha256: 'bytes' } },
  packet: { number: 6, door: 'input', fields: { device: 'u32', bytes: 'bytes' } },
  /** The outside ended the session while the machine could have gone on. */
  stop: { number: 7, door: 'input', fields: { reason: 'text' } },

  // -- life of domains ---------------------------------------------------------------------------------------------
  'domain-create': { number: 32, door: 'effect', fields: { name: 'text' } },
  'domain-build': { number: 33, door: 'effect', fields: { entry: 'u64', image: 'text', sha256: 'bytes' } },
  'domain-pause': { number: 34, door: 'effect', fields: {} },
  'domain-unpause': { number: 35, door: 'effect', fields: {} },
  'domain-shutdown': { number: 36, door: 'effect', fields: { reason: SHUTDOWN_REASONS } },
  'domain-destroy': { number: 37, door: 'effect', fields: {} },
  'vcpu-up': { number: 38, door: 'effect', fields: { rip: 'u64' } },
  'vcpu-down': { number: 39, door: 'effect', fields: {} },

  // -- exits of the processor --------------------------------------------------------------------------------------
  hypercall: { number: 48, door: 'effect', fields: { nr: 'u32', args: 'u64x5' } },
  'hypercall-return': { number: 49, door: 'effect', fields: { nr: 'u32', result: 'i64' } },
  io: { number: 50, door: 'effect', fields: { port: 'hex', size: 'u8', write: 'bool', value: 'hex' } },
  mmio: { number: 51, door: 'effect', fields: { gpa: 'u64', size: 'u8', write: 'bool', value: 'u64' } },
  cpuid: {
    number: 52,
    door: 'effect',
    fields: { leaf: 'hex', subleaf: 'hex', eax: 'hex', ebx: 'hex', ecx: 'hex', edx: 'hex' },
  },
  msr: { number: 53, door: 'effect', fields: { index: 'hex', write: 'bool', value: 'u64' } },
  /** About to be delivered through the guest's IDT. `cr2` counts for vector 14 only. */
  exception: { number: 54, door: 'effect', fields: { vector: 'u8', error: 'hex', cr2: 'u64', rip: 'u64' } },
  'interrupt-raise': { number: 55, door: 'effect', fields: { vector: 'u8' } },
  'interrupt-deliver': { number: 56, door: 'effect', fields: { vector: 'u8', rip: 'u64' } },
  halt: { number: 57, door: 'effect', fields: { rip: 'u64' } },
  'triple-fault': { number: 58, door: 'effect', fields: { rip: 'u64' } },
  'tlb-flush': { number: 59, door: 'effect', fields: { scope: ['cr3', 'invlpg', 'global'], linear: 'u64' } },

  // -- time and turns ----------------------------------------------------------------------------------------------
  'timer-set': { number: 72, door: 'effect', fields: { timer: TIMERS, deadline: 'u53' } },
  'timer-fire': { number: 73, door: 'effect', fields: { timer: TIMERS, deadline: 'u53' } },
  'context-switch': {
    number: 74,
    door: 'effect',
    fields: { fromDomain: 'u16', fromVcpu: 'u16', toDomain: 'u16', toVcpu: 'u16' },
  },
  /** Why the scheduler was asked. */
  schedule: { number: 75, door: 'effect', fields: { reason: ['slice', 'block', 'yield', 'wake', 'pause', 'start'] } },
  wake: { number: 76, door: 'effect', fields: {} },
  block: { number: 77, door: 'effect', fields: {} },
  /** No processor has work: the clock jumps. */
  idle: { number: 78, door: 'effect', fields: { until: 'u53' } },

  // -- event channels ----------------------------------------------------------------------------------------------
  'evtchn-bind': {
    number: 88,
    door: 'effect',
    fields: { port: 'u32', type: EVTCHN_TYPES, remoteDomain: 'u16', remotePort: 'u32' },
  },
  'evtchn-send': { number: 89, door: 'effect', fields: { port: 'u32' } },
  'evtchn-pending': { number: 90, door: 'effect', fields: { port: 'u32' } },
  'evtchn-close': { number: 91, door: 'effect', fields: { port: 'u32' } },

  // -- grants and memory -------------------------------------------------------------------------------------------
  'grant-map': {
    number: 96,
    door: 'effect',
    fields: { granter: 'u16', ref: 'u32', flags: 'hex', handle: 'u32', mfn: 'u53', status: 'i32' },
  },
  'grant-unmap': {
    number: 97,
    door: 'effect',
    fields: { granter: 'u16', ref: 'u32', handle: 'u32', status: 'i32' },
  },
  /** `source` and `dest` are a grant reference or a frame number, as `flags` (GNTCOPY_*) say. */
  'grant-copy': {
    number: 98,
    door: 'effect',
    fields: {
      sourceDomain: 'u16',
      source: 'u53',
      sourceOffset: 'u16',
      destDomain: 'u16',
      dest: 'u53',
      destOffset: 'u16',
      length: 'u16',
      flags: 'hex',
      status: 'i32',
    },
  },
  /** `count` entries from `gfn` on now name the frames from `mfn` on (or nothing). */
  'p2m-change': {
    number: 104,
    door: 'effect',
    fields: { gfn: 'u53', mfn: 'u53', count: 'u32', type: ['none', 'ram', 'ro', 'grant', 'mmio', 'shared-info'] },
  },

  // -- consoles and the store --------------------------------------------------------------------------------------
  'console-output': { number: 112, door: 'effect', fields: { bytes: 'chars' } },
  /** HYPERVISOR_console_io, and Xen's own debug port: what `xl dmesg` would show. */
  'console-io': { number: 113, door: 'effect', fields: { bytes: 'chars' } },
  /** One operation of `domain`; `error` is empty or the errno's name. */
  xenstore: {
    number: 114,
    door: 'effect',
    fields: { op: XENSTORE_OPS, transaction: 'u32', error: 'text', path: 'text', value: 'text' },
  },

  // -- checks ------------------------------------------------------------------------------------------------------
  /** 64-bit hash of a part of the machine's state. */
  digest: {
    number: 120,
    door: 'effect',
    fields: { scope: ['vcpu', 'memory', 'devices', 'hypervisor', 'xenstore', 'machine'], value: 'u64' },
  },
  /** The guest asked for something rexen does not have; it got an error, never a silent success. */
  unimplemented: {
    number: 121,
    door: 'effect',
    fields: {
      what: ['hypercall', 'suboperation', 'msr', 'port', 'mmio', 'instruction', 'feature'],
      nr: 'hex',
      sub: 'hex',
    },
  },
  /** The machine itself ended: every domain shut down, or nothing can happen any more. */
  end: { number: 122, door: 'effect', fields: { reason: 'text' } },
  /** A line of the hypervisor's own log. */
  note: { number: 123, door: 'effect', fields: { text: 'text' } },
} as const satisfies Record<string, KindSpec>;

export type KindName = keyof typeof KINDS;
export const KIND_NAMES = Object.keys(KINDS) as KindName[];

/** Kind numbers by name, for hot code: `log.append(KIND['evtchn-send'], port)`. */
export const KIND = Object.freeze(Object.fromEntries(KIND_NAMES.map((name) => [name, KINDS[name].number]))) as Readonly<
  Record<KindName, number>
>;

/** True for kinds that come through the door. */
export function isInput(kind: KindName): boolean {
  return KINDS[kind].door === 'input';
}

/** Domain ids with a meaning of their own (xen/include/public/xen.h). */
export const DOMID_XEN = 0x7ff2;
export const DOMID_IDLE = 0x7fff;
/** In `vcpu` and `pcpu`: none. */
export const NONE = -1;
