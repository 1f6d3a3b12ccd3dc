/** Operators' commands in whole sessions: inputs that are recorded and replayed, and looks that leave no trace. */
import { expect, it } from 'vitest';
import { Timeline } from '../../replay/timeline.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { MemoryFile } from '../../src/host/files.ts';
import { type KindName, open, record, replay } from '../../src/index.ts';
import { openRecording } from '../../src/log/recording.ts';
import { guestConfig } from '../support/recorded.ts';

const ticker = (name: string, ticks: number) =>
  guestConfig('ticker', { name, extra: `ticks=${ticks} period_ms=10`, memory: 16 });

const SCRIPT = `
expect "tick 3 "
xl pause a
xl list a
wait 100_000_000
xl unpause a
xl create late
domain late
expect "tick 2 "
xl vcpu-list late
xl destroy late
xl mem-set a 9999
xl list a
domain a
expect "ticks, at most"
`;

it('pauses, creates and destroys by script, and replays it', async () => {
  const printed: string[] = [];
  const recorded = await record({
    domains: [ticker('a', 40), ticker('b', 60)],
    later: { 'late.cfg': ticker('late', 1000) },
    script: SCRIPT,
    onXl: (text) => printed.push(text),
  });
  expect(recorded).toMatchObject({ outcome: 'finished', message: undefined });
  // Paused for 100 ms of its 400: the ticks that fell into the pause came late.
  expect(recorded.console('a')).toMatch(/ticker: 40 ticks, at most 9\d\d\d\d us late/);
  expect(printed.map((text) => text.replaceAll(/ +/g, ' '))).toEqual([
    'Name ID Mem VCPUs State Time(s)\na 1 16 1 --p--- 0.0\n',
    'Name ID VCPU CPU State Time(s)\nlate 3 0 0 r-- 0.0\n',
    expect.stringMatching(/^Name ID Mem VCPUs State Time\(s\)\na 1 16 1 (r-|-b)---- 0.0\n$/),
  ]);
  using file = open(recorded.file!);
  expect([...file.events({ kinds: ['operator'] })].map((event) => ('text' in event ? event.text : ''))).toEqual([
    'pause a',
    'unpause a',
    'create late',
    'destroy late',
    'mem-set a 9999',
  ]);
  expect(file.count({ kinds: ['domain-create'] })).toBe(3);
  const notes = [...file.events({ kinds: ['note'] })].map((event) => ('text' in event ? event.text : ''));
  expect(notes.filter((text) => text.startsWith('xl '))).toEqual([
    'xl mem-set a 9999: a can have 1 to 16 MiB, not 9999; maxmem sets the limit',
  ]);
  expect(replay(recorded.file!)).toMatchObject({ verified: true, whole: true, digest: recorded.digest });
  // Back and forth over the places where domains come and go.
  const recording = openRecording(new MemoryFile(recorded.file!));
  const timeline = new Timeline(recording, sessionBuilder(recording, 'memory.rxn'), { spacing: 20_000_000 });
  const [created, destroyed] = ['domain-create', 'domain-destroy'].map(
    (kind) => [...file.events({ kinds: [kind as KindName] })].find(({ domain }) => domain === 3)!.tick,
  );
  for (const place of [recorded.ticks, created! + 1000, destroyed! + 1000, created! - 1000, recorded.ticks])
    timeline.seek(place);
  expect(timeline.tick).toBe(recorded.ticks);
});

it('gives the same session whether somebody looks or not', async () => {
  const run = (look: string) =>
    record({ domains: [ticker('a', 30)], script: `expect "tick 3 "\n${look}\nexpect "tick 20 "\n${look}\nend` });
  const [looked, not] = [await run('xl list\nxl vcpu-list'), await run('')];
  expect({ digest: looked.digest, ticks: looked.ticks }).toEqual({ digest: not.digest, ticks: not.ticks });
});

it('drives several consoles by a script each', async () => {
  const recorded = await record({
    domains: [ticker('a', 5), ticker('b', 8)],
    script: { b: 'expect "tick 8 "\nxl reboot nobody', a: 'expect "tick 5 "' },
  });
  expect(recorded).toMatchObject({ outcome: 'finished', message: undefined });
  expect(replay(recorded.file!).verified).toBe(true);
});
