/** The library's front door, used as its documentation says. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { count, lastValueFrom, map, toArray } from 'rxjs';
import { afterAll, expect, it } from 'vitest';
import {
  between,
  divergenceText,
  eventLine,
  inDomain,
  type MachineEvent,
  ofKind,
  open,
  RecordingError,
  record,
  replay,
} from '../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'rexen-library-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('records, replays and reads events', async () => {
  const kernel = fileURLToPath(new URL('./guests/hello.elf', import.meta.url));
  const hello = `name = "hello"\ntype = "pvh"\nkernel = "${kernel}"\nmemory = 16\n`;

  let printed = '';
  const live: MachineEvent[] = [];
  const recorded = await record({
    domains: [hello],
    output: join(folder, 'hello.rxn'),
    script: 'expect "goodbye"',
    onConsole: (_domain, bytes) => {
      printed += Buffer.from(bytes).toString();
    },
    onEvents: (events$) => events$.subscribe((event) => live.push(event)),
  });
  expect(recorded).toMatchObject({ outcome: 'finished', path: join(folder, 'hello.rxn') });
  expect(recorded.console('hello')).toBe(printed);
  expect(printed).toContain('hello from a PVH domain');
  expect(live).toHaveLength(recorded.events);

  const replayed = replay(recorded.path);
  if (replayed.divergence) throw new Error(divergenceText(replayed.divergence));
  expect(replayed).toMatchObject({ verified: true, whole: true, digest: recorded.digest, events: recorded.events });
  expect(replay(recorded.path, { until: 10_000 })).toMatchObject({ verified: true, ticks: 10_000 });

  using file = open(recorded.path);
  expect([...file.events()]).toEqual(live);
  const numbers = await lastValueFrom(
    file.events$().pipe(
      ofKind('hypercall'),
      inDomain(1),
      map((event) => event.nr),
      toArray(),
    ),
  );
  expect(numbers).toContain(29); // sched_op: it powers off
  expect(numbers).toHaveLength(file.count({ kinds: ['hypercall'] }));
  const early = await lastValueFrom(file.events$().pipe(between(0, 5000), count()));
  expect(early).toBe(live.filter((event) => event.tick <= 5000).length);
  expect(file.info()).toMatchObject({ ending: { kind: 'clean' }, events: live.length });
  expect(eventLine(live[0])).toMatch(/^ +0 +0 /);
}, 60_000);

it('has errors for people', async () => {
  await expect(record({ domains: ['name = "x"\ntype = "pvh"\nkernel = "/nowhere"'] })).rejects.toThrow(
    'cannot read kernel /nowhere: no such file',
  );
  expect(() => open(join(folder, 'nothing.rxn'))).toThrow(RecordingError);
});
