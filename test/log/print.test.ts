import { describe, expect, it } from 'vitest';
import type { Ticks } from '../../src/base/ticks.ts';
import type { MachineEvent } from '../../src/log/event.ts';
import { eventLine, eventToJson, quote } from '../../src/log/print.ts';
import { countEvents, kindNamed, selectEvents } from '../../src/log/select.ts';
import { recordingInfo } from '../../src/log/info.ts';
import { openRecording } from '../../src/log/recording.ts';
import { recordToy } from '../replay/toy-machine.ts';

const head = { seq: 7, tick: 1234567 as Ticks, domain: 1, vcpu: 0, pcpu: 2 };
const names = { hypercall: (nr: number) => (nr === 29 ? 'sched_op' : undefined), errno: () => 'ENOSYS' };

describe('eventLine', () => {
  const details = (event: object) =>
    eventLine({ ...head, ...event } as MachineEvent, names).replace(/^.*p2 +\S+ */, '');

  it('is aligned, with the tick grouped and the place', () => {
    const line = eventLine({ ...head, kind: 'evtchn-send', port: 3 });
    expect(line).toBe('        7       1,234,567  d1v0 p2   evtchn-send       port=3');
  });

  it('names hypercalls and errors', () => {
    expect(details({ kind: 'hypercall', nr: 29, args: [1n, 0x1000n, 0n, 0n, 0n] })).toBe('sched_op(0x1, 0x1000)');
    expect(details({ kind: 'hypercall-return', nr: 29, result: -38n })).toBe('sched_op = -38 (ENOSYS)');
    expect(details({ kind: 'hypercall', nr: 99, args: [0n, 0n, 0n, 0n, 0n] })).toBe('hypercall 99(0x0)');
  });

  it('lets nothing through that steers a terminal', () => {
    const bytes = new Uint8Array(Buffer.from('\x1b[2J\x9b\n"é', 'latin1'));
    expect(details({ kind: 'console-output', bytes })).toBe('bytes="\\x1b[2J\\x9b\\n\\"é"');
    expect(quote('a\u202eb\u2028')).toBe('"a\\u{202e}b\\u{2028}"');
    expect(quote('x'.repeat(100))).toBe(`"${'x'.repeat(72)}"… (100)`);
  });
});

describe('eventToJson', () => {
  it('keeps every value, in JSON types', () => {
    const json = (event: object) => JSON.parse(JSON.stringify(eventToJson({ ...head, ...event } as MachineEvent)));
    const common = { seq: 7, tick: 1234567, domain: 1, vcpu: 0, pcpu: 2 };
    expect(json({ kind: 'hypercall', nr: 1, args: [2n ** 64n - 1n, 0n, 0n, 0n, 0n] })).toEqual({
      ...common,
      kind: 'hypercall',
      nr: 1,
      args: ['0xffffffffffffffff', '0x0', '0x0', '0x0', '0x0'],
    });
    expect(json({ kind: 'hypercall-return', nr: 1, result: -2n })).toMatchObject({ result: -2 });
    expect(json({ kind: 'hypercall-return', nr: 1, result: 2n ** 62n })).toMatchObject({ result: String(2n ** 62n) });
    expect(json({ kind: 'console-output', bytes: Uint8Array.of(65, 255) })).toMatchObject({ bytes: 'A\xff' });
    expect(json({ kind: 'entropy', bytes: Uint8Array.of(1, 255) })).toMatchObject({ bytes: '01ff' });
  });
});

describe('selectEvents', () => {
  const recording = openRecording(recordToy({ endsAt: 20_000, seed: 5 }, 30_000, false));
  const all = [...selectEvents(recording)];

  it.each([
    [{ kinds: ['digest', 'end'] as const }],
    [{ domain: 1 }],
    [{ from: 5000, to: 6000 }],
    [{ kinds: ['evtchn-send'] as const, from: 777, to: 12_345, domain: 1 }],
    [{ domain: 3 }],
  ])('is a filter: %j', (filter) => {
    const {
      kinds,
      domain,
      from = 0,
      to = 1e9,
    } = filter as { kinds?: readonly string[]; domain?: number; from?: number; to?: number };
    const wanted = all.filter(
      (e) =>
        (!kinds || kinds.includes(e.kind)) &&
        (domain === undefined || e.domain === domain) &&
        e.tick >= from &&
        e.tick <= to,
    );
    expect([...selectEvents(recording, filter)]).toEqual(wanted);
    expect(countEvents(recording, filter)).toBe(wanted.length);
    expect([...selectEvents(recording, { ...filter, limit: 2 })]).toEqual(wanted.slice(0, 2));
  });

  it('knows kinds by name, and near ones', () => {
    expect(kindNamed('timer-fire')).toBe('timer-fire');
    expect(() => kindNamed('evtchn')).toThrow(/no event kind "evtchn".*evtchn-send/);
    expect(() => kindNamed('toString')).toThrow(RangeError);
  });

  it('is what info counts', () => {
    const info = recordingInfo(recording);
    const counts = Object.fromEntries(Object.entries(info.kinds).map(([kind, { count }]) => [kind, count]));
    const wanted: Record<string, number> = {};
    for (const { kind } of all) wanted[kind] = (wanted[kind] ?? 0) + 1;
    expect(counts).toEqual(wanted);
    expect(info.inputs).toBe(wanted['console-input']);
    const shares = Object.values(info.kinds).reduce((sum, { bytes }) => sum + bytes, 0);
    expect(Math.abs(shares - info.inputBytes - info.effectBytes)).toBeLessThan(20);
  });
});
