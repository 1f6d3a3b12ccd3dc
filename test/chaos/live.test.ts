/** A condition looked at while the session runs holds from the tick that `rexen when` finds, and leaves no trace. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { elfSymbols } from '../../src/debug/symbols/elf-symbols.ts';
import { sha256 } from '../../src/host/files.ts';
import { LiveCondition } from '../../src/host/live-condition.ts';
import { parseCondition } from '../../src/inspect/condition/parse.ts';
import { ReplaySession } from '../../replay/session.ts';
import { Timeline } from '../../replay/timeline.ts';
import { firstWhen } from '../../replay/when.ts';
import { recordGuests } from '../snapshot/support.ts';
import { smallGuest } from '../support/images.ts';

const { recording, build } = recordGuests([{ guest: 'race', cmdline: 'jitter=3', vcpus: 2 }]);
const symbols = elfSymbols(new Uint8Array(readFileSync(smallGuest('race'))))!;
const timeline = new Timeline(recording, build);

function live(text: string): LiveCondition {
  const replay = new ReplaySession(recording, build, { createHash: sha256 });
  const condition = new LiveCondition(replay.machine!, parseCondition(text), { domain: 'race0' });
  expect(replay.run()).toMatchObject({ verified: true, whole: true });
  condition.end();
  return condition;
}

test.each([
  'u64(next_ticket) == 100',
  'u64(next_ticket) > 319',
  'u8(next_ticket) == 7 && u16(next_ticket + 1) == 0',
  'rip == sell && u64(next_ticket) == 64',
  'rip == sell || u64(next_ticket) == 5',
  'u64(next_ticket) == 5000',
])('%s', (text) => {
  const found = firstWhen(timeline, parseCondition(text), { domain: 1, symbol: (name) => symbols.address(name) });
  expect(live(text).met).toBe(found?.tick);
});

test('a text and memory together hold at the end of a run', () => {
  const tick = live('console:"each sold once" && u64(next_ticket) == 320').met!;
  timeline.seek(tick);
  expect(live('console:"each sold once" && u64(next_ticket) == 319').met).toBeUndefined();
});

test('on registers alone it is looked at when a run ends', () => {
  const text = 'rip >= sell - 0x1000 && rip < sell + 0x1000 && cpl == 0';
  const { met } = live(text);
  timeline.seek(met!);
  const found = firstWhen(timeline, parseCondition(text), {
    domain: 1,
    from: met,
    to: met,
    symbol: (name) => symbols.address(name),
  });
  expect(found).toEqual({ tick: met });
});

test('a name that the guest does not have is said', () => {
  expect(live('u8(nowhere) == 1')).toMatchObject({ met: undefined, missing: ['nowhere'] });
});
