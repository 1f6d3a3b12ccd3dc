import { describe, expect, test } from 'vitest';
import type { Ticks } from '../../src/base/ticks.ts';
import { FailWatch, parseFailCondition } from '../../src/host/chaos-watch.ts';
import { EventLog } from '../../src/log/append.ts';

function watch(condition: string | undefined, emit: (log: EventLog) => void): FailWatch {
  const fail = new FailWatch(condition === undefined ? undefined : parseFailCondition(condition));
  const log = new EventLog(() => 5 as Ticks);
  log.addSink(fail);
  log.emitAt(1, 0, 'evtchn-close', { port: 3 });
  emit(log);
  log.flush();
  return fail;
}
const bytes = (text: string) => new TextEncoder().encode(text);

describe('a failure is seen', () => {
  test('in what a console prints, also in pieces', () => {
    const emit = (log: EventLog) => {
      log.emitAt(2, 0, 'console-output', { bytes: bytes('a BU') });
      log.emitAt(1, 0, 'console-output', { bytes: bytes('G?') });
      log.emitAt(2, 0, 'console-output', { bytes: bytes('G!') });
    };
    expect(watch('console:"BUG"', emit).met).toMatchObject({ tick: 5, seq: 3 });
    expect(watch('console:"BUGG" || event halt || console:"G?"', emit).met).toMatchObject({ seq: 2 });
    expect(watch('console:"BUGG"', emit).met).toBeUndefined();
  });

  test('in an event with such fields', () => {
    const emit = (log: EventLog) => {
      log.emitAt(1, 0, 'evtchn-close', { port: 4 });
    };
    expect(watch('event evtchn-close port=4', emit).met).toMatchObject({ seq: 1 });
    expect(watch('event evtchn-close', emit).met).toMatchObject({ seq: 0 });
    expect(watch('event evtchn-close port=5', emit).met).toBeUndefined();
  });

  test('in a crash, whatever was asked for; not in another end', () => {
    const end = (reason: 'crash' | 'poweroff') => (log: EventLog) => log.emitAt(1, -1, 'domain-shutdown', { reason });
    expect(watch(undefined, end('crash')).crash).toMatchObject({ seq: 1 });
    expect(watch(undefined, end('poweroff')).crash).toBeUndefined();
  });
});

test.each([
  ['event halt && u8(5) == 1', 'an event cannot be joined'],
  ['rip = 5', 'write =='],
  ['event nonsense', 'no event kind'],
  ['event halt x', 'no FIELD=VALUE'],
  ['console:"open', 'closing quote'],
])('%s is refused', (text, why) => {
  expect(() => parseFailCondition(text)).toThrow(why);
});
