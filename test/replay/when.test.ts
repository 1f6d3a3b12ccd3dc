/** `when` against a look at every single tick. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { elfSymbols } from '../../src/debug/symbols/elf-symbols.ts';
import { holds } from '../../src/inspect/condition/evaluate.ts';
import { parseCondition } from '../../src/inspect/condition/parse.ts';
import { vcpuPlace } from '../../src/inspect/condition/vcpu-place.ts';
import { selectEvents } from '../../src/log/select.ts';
import { Timeline } from '../../replay/timeline.ts';
import { firstWhen, needsEveryTick } from '../../replay/when.ts';
import { recordGuests } from '../snapshot/support.ts';
import { smallGuest } from '../support/images.ts';

const made = recordGuests([{ guest: 'race', cmdline: 'jitter=3', vcpus: 2 }]);
const { recording } = made;
const symbols = elfSymbols(new Uint8Array(readFileSync(smallGuest('race'))))!;
const symbol = (name: string) => symbols.address(name);
const timeline = new Timeline(recording, made.build);
const first = (text: string, from?: number, to?: number, vcpu?: number) =>
  firstWhen(timeline, parseCondition(text), { domain: 1, symbol, from, to, vcpu });

/** The first tick from `from` on at which it holds for some vcpu, by looking at each. */
function slowly(text: string, from: number, to: number): number | undefined {
  const condition = parseCondition(text);
  const line = new Timeline(recording, made.build, { spacing: Number.MAX_SAFE_INTEGER });
  line.forward(from);
  for (;;) {
    const { session } = line;
    for (const vcpu of session.xen.find(1)!.vcpus) {
      const printed = () => false;
      const place = vcpuPlace(session, vcpu, { registers: true, symbol, printed, happening: printed });
      if (holds(condition, place)) return line.tick;
    }
    if (line.tick >= to) return undefined;
    line.forward(line.tick + 1);
  }
}

const FROM = 200_000;
const TO = 230_000;

describe('a condition', () => {
  it.each([
    'mem(next_ticket) >= 60',
    'u8(next_ticket) == 0x42',
    'u32(next_ticket) % 7 == 3 && u64(next_ticket) > 62',
    'u64(next_ticket) & 0x40 || u8(next_ticket) == 0x3f',
    '!(u64(next_ticket) < 61)',
    'u64(next_ticket) - 1 == 65',
    's64(next_ticket) > -1',
    'u64(next_ticket) == 100000',
    // At instructions, and at both.
    'rip == sell',
    'rip == sell && u64(next_ticket) > 60 && rdi != 0',
    'rip == sell && u64(next_ticket) == 64 || u64(next_ticket) == 63',
    'rip == sell && u64(rsp) == 0',
    // At any instruction.
    'rax == 63',
    'rip >= sell && rip < sell + 16 && u64(next_ticket) > 60',
    'al == 0x3c && ecx != 0',
  ])('%s first holds where a look at every tick finds it', (text) => {
    const tick = slowly(text, FROM, TO);
    expect(first(text, FROM, TO)).toEqual(tick === undefined ? undefined : { tick });
    if (tick !== undefined) expect(timeline.tick).toBe(tick);
  });

  it('says whether it needs every tick', () => {
    expect(needsEveryTick(parseCondition('rax == 1'), symbol)).toBe(true);
    expect(needsEveryTick(parseCondition('rip == sell && rax == 1'), symbol)).toBe(false);
  });

  it('of the whole recording is found, by any vcpu or by one', () => {
    expect(first('mem(next_ticket) == 320')).toBeDefined();
    const one = first('rip == sell', 0, undefined, 1)!;
    const any = first('rip == sell')!;
    expect(one.tick).toBeGreaterThan(any.tick);
    timeline.seek(one.tick);
    expect(timeline.session.xen.find(1)!.vcpus[1]!.slot).toBe(timeline.session.engine.current);
  });

  it('on events and words is found on the log', () => {
    const down = first('event domain-shutdown reason=poweroff')!;
    const [event] = selectEvents(recording, { kinds: ['domain-shutdown'] });
    expect(down).toEqual({ tick: event!.tick, seq: event!.seq });
    expect(first('event domain-shutdown reason=crash')).toBeUndefined();
    const said = first('console:"sold once"')!;
    expect(said.seq).toBeDefined();
    expect(first('console:"sold once"', said.tick + 1)).toBeUndefined();
    expect(first('console:"sold once"', 0, said.tick - 1)).toBeUndefined();
  });

  it('may join what is on the log with memory', () => {
    const hypercalls = [...selectEvents(recording, { kinds: ['hypercall'], from: FROM })];
    const joined = first('event hypercall && u64(next_ticket) > 100', FROM)!;
    const sold = first('u64(next_ticket) > 100', FROM)!;
    expect(joined.tick).toBe(hypercalls.find(({ tick }) => tick >= sold.tick)?.tick);
    const said = first('console:"sold once"')!;
    const after = first('console:"sold once" && u64(next_ticket) > 0')!;
    expect([said.tick, said.tick + 1]).toContain(after.tick);
    expect(first('console:"sold once" && u64(next_ticket) == 0')).toBeUndefined();
  });
});
