/** Random events of every kind, from the table. */
import fc from 'fast-check';
import type { EventLog } from '../../src/log/append.ts';
import type { EventFields, MachineEvent } from '../../src/log/event.ts';
import { type FieldType, KIND_NAMES, KINDS, type KindName, type KindSpec } from '../../src/log/kinds.ts';

function valueArbitrary(type: FieldType): fc.Arbitrary<unknown> {
  if (typeof type !== 'string') return fc.constantFrom(...type);
  switch (type) {
    case 'u8':
    case 'u16':
      return fc.nat(255);
    case 'u32':
    case 'hex':
      return fc.oneof(fc.nat(9), fc.integer({ min: 0, max: 0xffff_ffff }));
    case 'i32':
      return fc.integer();
    case 'bool':
      return fc.boolean();
    case 'u53':
      return fc.maxSafeNat();
    case 'u64':
      return fc.oneof(fc.bigInt(0n, 9n), fc.bigInt(0n, 2n ** 64n - 1n));
    case 'i64':
      return fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n);
    case 'u64x5':
      return fc.array(fc.bigInt(0n, 2n ** 64n - 1n), { minLength: 5, maxLength: 5 });
    case 'bytes':
    case 'chars':
      return fc.uint8Array({ maxLength: 20 });
    default:
      return fc.string({ unit: 'grapheme', maxLength: 8 });
  }
}

/** One event of any kind; `seq` is 0 and ticks are random. */
export function eventArbitrary(): fc.Arbitrary<MachineEvent> {
  return fc.constantFrom(...KIND_NAMES).chain((kind) => {
    const fields: KindSpec['fields'] = KINDS[kind].fields;
    return fc
      .record({
        seq: fc.constant(0),
        tick: fc.maxSafeNat(),
        kind: fc.constant(kind),
        domain: fc.nat(0x7fff),
        vcpu: fc.integer({ min: -1, max: 200 }),
        pcpu: fc.integer({ min: -1, max: 200 }),
        ...Object.fromEntries(Object.entries(fields).map(([name, type]) => [name, valueArbitrary(type)])),
      })
      .map((event) => ({ ...event }) as unknown as MachineEvent);
  });
}

export function emitAny(log: EventLog, event: MachineEvent): void {
  log.where.pcpu = event.pcpu;
  log.emitAt(event.domain, event.vcpu, event.kind, event as unknown as EventFields<KindName>);
}
