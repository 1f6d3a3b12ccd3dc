import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { elfSymbols } from '../../src/debug/symbols/elf-symbols.ts';
import { selectEvents } from '../../src/log/select.ts';
import { livingEnd } from '../../replay/ends.ts';
import { compareMarks, markText, parseMark } from '../../replay/mark.ts';
import { parseMemory } from '../../replay/memory-text.ts';
import { contents, translate } from '../../src/inspect/places.ts';
import { bytesOf, vcpuOf, whoWrote } from '../../replay/queries.ts';
import { findFirst, findLast } from '../../replay/scan.ts';
import { finish, slotOf, stepBackward, stepForward, trace } from '../../replay/step.ts';
import { Timeline } from '../../replay/timeline.ts';
import { placeDigest, recordGuests } from '../snapshot/support.ts';
import { smallGuest } from '../support/images.ts';

const made = recordGuests([{ guest: 'race', cmdline: 'jitter=3', vcpus: 2 }]);
const { recording } = made;
const end = livingEnd(recording);
const symbols = elfSymbols(new Uint8Array(readFileSync(smallGuest('race'))))!;
const counter = { domain: 1, vcpu: 0, address: symbols.address('next_ticket')!, length: 8 };
const sell = symbols.address('sell')!;

function counterNow(timeline: Timeline): bigint {
  const bytes = contents(timeline.session, bytesOf(timeline.session, counter));
  return Buffer.from(bytes).readBigUInt64LE();
}

/** Every value of the counter, with the tick at which it is first there, by running one tick at a time. */
function slowly(from: number, to: number): { tick: number; value: bigint }[] {
  const timeline = new Timeline(recording, made.build, { spacing: Number.MAX_SAFE_INTEGER });
  timeline.forward(from);
  const seen: { tick: number; value: bigint }[] = [{ tick: from, value: counterNow(timeline) }];
  for (let tick = from + 1; tick <= to; tick++) {
    timeline.forward(tick);
    const value = counterNow(timeline);
    if (value !== seen.at(-1)!.value) seen.push({ tick, value });
  }
  return seen;
}

describe('marks', () => {
  it('are ticks, times, events, places before the end, and words on a console', () => {
    expect(parseMark('12_345', recording)).toEqual({ tick: 12_345 });
    expect(parseMark('0.1ms', recording)).toEqual({ tick: 100_000 });
    expect(parseMark('end-10', recording)).toEqual({ tick: recording.lastTick - 10 });
    expect(parseMark('#0', recording)).toEqual({ tick: 0, seq: 0 });
    const mark = parseMark('console:"each sold once"', recording);
    const [event] = selectEvents(recording, { kinds: ['console-output'], from: mark.tick });
    expect(event).toMatchObject({ tick: mark.tick });
    expect(markText(mark)).toBe(`#${mark.seq}`);
    expect(compareMarks({ tick: 5, seq: 1 }, { tick: 5, seq: 2 })).toBeLessThan(0);
    expect(compareMarks({ tick: 6 }, { tick: 5, seq: 2 })).toBeGreaterThan(0);
  });

  it('count what a console printed, and take distances from any place', () => {
    const all: number[] = [];
    for (const event of selectEvents(recording, { kinds: ['console-output', 'console-io'] })) {
      const text = Buffer.from((event as unknown as { bytes: Uint8Array }).bytes).toString();
      for (const _ of text.matchAll(/s/g)) all.push(event.seq);
    }
    expect(all.length).toBeGreaterThan(1);
    for (const [i, seq] of all.entries()) expect(parseMark(`console:"s":${i + 1}`, recording).seq).toBe(seq);
    expect(parseMark('console:"s":last', recording).seq).toBe(all.at(-1));
    expect(parseMark('console:s', recording).seq).toBe(all[0]);
    expect(() => parseMark(`console:"s":${all.length + 1}`, recording)).toThrow(`${all.length} times only`);
    const mark = parseMark('console:"\\u0073"', recording);
    expect(mark.seq).toBe(all[0]);
    expect(parseMark('console:"s"-17', recording)).toEqual({ tick: mark.tick - 17 });
    expect(parseMark(`#${mark.seq}+1_0`, recording)).toEqual({ tick: mark.tick + 10 });
    expect(parseMark('0.1ms+5', recording)).toEqual({ tick: 100_005 });
    expect(parseMark('1e5-1', recording)).toEqual({ tick: 99_999 });
    for (const each of [mark, { tick: 77 }]) expect(parseMark(markText(each), recording)).toEqual(each);
    expect(parseMark('99999999999', recording, 'allowed')).toEqual({ tick: 99_999_999_999 });
  });

  it.each([
    ...['', 'x', '#999999999', '#', 'end-999999999999', 'end+1', '99999999999', '-1', '1.5', '1..5s', '5h', '1e99'],
    ...['console:"never printed"', 'console:"', 'console:', 'console:""', 'console:"race":0', 'console:"race":x'],
    ...['console:"a" b', 'console:"\\q"', '#1-99999', '5-9'],
  ])('%j is none, and it is said why', (text) => {
    expect(() => parseMark(text, recording)).toThrow(RangeError);
  });
});

describe('one step', () => {
  it('back and forth comes to the same place, for each vcpu', () => {
    const timeline = new Timeline(recording, made.build);
    for (const vcpu of [0, 1]) {
      for (const tick of [250_000, 333_333, 400_001]) {
        timeline.seek(tick);
        const slot = slotOf(timeline, 1, vcpu)!;
        finish(stepBackward(timeline, slot));
        const back = timeline.tick;
        expect(back).toBeLessThan(tick);
        const place = placeDigest(timeline.session);
        finish(stepForward(timeline, slot));
        expect(timeline.tick).toBe(back + 1);
        finish(stepBackward(timeline, slot));
        expect(placeDigest(timeline.session)).toBe(place);
      }
    }
  });

  it('goes to the vcpu’s own last instruction, over the turns of others', () => {
    const timeline = new Timeline(recording, made.build);
    timeline.seek(200_000);
    const runs = trace(timeline, 500_000);
    const change = runs.find((run, i) => i > 0 && run.slot === 0 && run.start === runs[i - 1]!.end)!;
    const before = runs.filter((run) => run.slot === 0 && run.end < change.start).at(-1)!;
    timeline.seek(change.start);
    finish(stepBackward(timeline, 0));
    expect(timeline.tick).toBe(before.end - 1);
  });

  it('ends at the start', () => {
    const timeline = new Timeline(recording, made.build);
    expect(finish(stepBackward(timeline, undefined))).toBe(false);
    expect(timeline.tick).toBe(0);
  });
});

describe('scans', () => {
  it('see every passage of an instruction, backwards as forwards', () => {
    const timeline = new Timeline(recording, made.build, { spacing: 50_000 });
    const interest = { breakpoints: [sell], watches: [] };
    const forwards: number[] = [];
    timeline.seek(0);
    for (;;) {
      const last = forwards.at(-1) ?? -1;
      timeline.seek(last + 1);
      const hit = finish(findFirst(timeline, interest, ({ tick }) => tick > last));
      if (!hit || forwards.length === 12) break;
      forwards.push(hit.tick);
    }
    expect(forwards).toHaveLength(12);
    const backwards: number[] = [];
    for (let before = forwards.at(-1)! + 1; ; before = backwards[0]!) {
      const hit = finish(findLast(timeline, before, interest));
      if (!hit) break;
      backwards.unshift(hit.tick);
    }
    expect(backwards).toEqual(forwards);
    timeline.seek(forwards[5]!);
    const hit = [...timeline.session.xen.find(1)!.vcpus].some((vcpu) => {
      timeline.session.engine.switchTo(vcpu.slot);
      return timeline.session.engine.state.rip === sell;
    });
    expect(hit).toBe(true);
  });
});

describe('who wrote, and when', () => {
  const window = { from: 300_000, to: 330_000 };
  const values = slowly(window.from, window.to);

  it('is a window with something in it', () => {
    expect(values.length).toBeGreaterThan(3);
  });

  it('the last write is the one that a replay tick by tick finds', () => {
    const timeline = new Timeline(recording, made.build);
    const last = values.at(-1)!;
    const write = whoWrote(timeline, counter, window.to)!;
    expect(write.tick).toBe(last.tick - 1);
    expect(Buffer.from(write.after).readBigUInt64LE()).toBe(last.value);
    expect(Buffer.from(write.before).readBigUInt64LE()).toBe(values.at(-2)!.value);
    expect(symbols.name(write.rip)).toMatch(/^sell\+/);
    expect(write.outside).toBe(false);
    expect(timeline.tick).toBe(write.tick);
  });

  it('what the hypervisor and back ends write counts', () => {
    const timeline = new Timeline(recording, made.build);
    timeline.seek(end);
    const { shared, xenFrames } = timeline.session.xen.find(1)!;
    const gfn = xenFrames.get(shared!.mfn)!;
    const pending = { domain: 1, vcpu: 0, address: BigInt(gfn * 4096 + 2048), length: 8, physical: true };
    const write = whoWrote(timeline, pending, end);
    expect(write?.before).not.toEqual(write?.after);
  });

  it('memory that nobody wrote is said to be so', () => {
    const timeline = new Timeline(recording, made.build);
    const code = { domain: 1, vcpu: 0, address: sell, length: 4 };
    expect(whoWrote(timeline, code, end)).toBeUndefined();
    expect(() => whoWrote(timeline, { ...code, address: 0xffff_f000_0000_0000n }, end)).toThrow(/not mapped/);
  });
});

describe('a diversion', () => {
  it('changes what follows, and nothing of the timeline', () => {
    const timeline = new Timeline(recording, made.build);
    timeline.seek(500_000);
    const later = placeDigest(timeline.session);
    timeline.seek(300_000);
    const here = placeDigest(timeline.session);
    timeline.divert();
    const { session } = timeline;
    const [piece] = translate(session, vcpuOf(session, counter)!, counter.address, 8);
    session.engine.frames.frame(piece!.mfn)[piece!.offset] = 77;
    session.engine.frameWritten(piece!.mfn);
    timeline.forward(500_000);
    expect(timeline.diverted).toBe(true);
    expect(placeDigest(session)).not.toBe(later);
    expect(() => timeline.snapshot()).toThrow('diversion');
    timeline.seek(300_000);
    expect(timeline.diverted).toBe(false);
    expect(placeDigest(timeline.session)).toBe(here);
    timeline.seek(500_000);
    expect(placeDigest(timeline.session)).toBe(later);
  });
});

it('a domain is asked about where it lives', () => {
  const { recording: both } = recordGuests([
    { guest: 'race', cmdline: 'jitter=3', vcpus: 2 },
    { guest: 'ticker', cmdline: 'ticks=6 period_ms=1' },
  ]);
  const [first, second] = [...selectEvents(both, { kinds: ['domain-destroy'] })];
  expect(first).toMatchObject({ domain: 1 });
  expect(livingEnd(both)).toBe(second!.tick - 1);
  expect(livingEnd(both, 'race0')).toBe(first!.tick - 1);
  expect(livingEnd(both, '1')).toBe(first!.tick - 1);
  expect(livingEnd(both, 'ticker1')).toBe(second!.tick - 1);
  expect(livingEnd(both, 'nobody')).toBe(second!.tick - 1);
});

it('memory is named by address and length', () => {
  expect(parseMemory('0x1000:4')).toEqual({ address: 0x1000n, length: 4, physical: false });
  expect(parseMemory('phys:4096')).toEqual({ address: 4096n, length: 8, physical: true });
  for (const wrong of ['', 'x', '0x', '0x10:0', '0x10:9999']) expect(() => parseMemory(wrong)).toThrow(RangeError);
});
