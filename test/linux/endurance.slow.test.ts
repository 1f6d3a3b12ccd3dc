/** Slices of what `npm run kills` and `npm run replays` do at length, with one recording for both tools. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { testWithImages } from '../support/images.ts';
import { expectVerified, IMAGES, inFolder, recordLinux } from './guest.ts';
import { faults, killedAt } from './kills.ts';
import { CRYPTO_UNTESTED } from './options.ts';
import { replayMany } from './replays.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

testWithImages(
  'a recorder killed at three moments of a boot leaves files that replay to within a second of the end',
  IMAGES,
  () =>
    inFolder(async (folder) => {
      const kills = [];
      for (const afterMs of [900, 2500, 5000]) kills.push(await killedAt(folder, afterMs));
      for (const killed of kills) {
        expect(killed).toBeDefined();
        expect(faults(killed!)).toEqual([]);
      }
      // The later ones must have got somewhere, or nothing was tested.
      expect(kills[2]!.events).toBeGreaterThan(100);
      expect(kills[2]!.ticks).toBeGreaterThan(kills[0]!.ticks);
    }),
  1_800_000,
);

testWithImages(
  'replays in processes of their own come to the digest that the recorder said',
  IMAGES,
  () =>
    inFolder(async (folder) => {
      const file = join(folder, 'linux.rxn');
      const script = join(folder, 'linux.script');
      writeFileSync(script, 'expect "is ready"\nexpect "# "\nsend "poweroff\\n"\nexpect "System halted"\n');
      const options = ['--json', '--record', file, '--script', script, '--memory', '96', '--append', CRYPTO_UNTESTED];
      const made = spawnSync(process.execPath, [MAIN, 'linux', ...options], { encoding: 'utf8' });
      const { digest } = JSON.parse(made.stdout) as { digest: string };
      const { digests, failures } = await replayMany(file, { times: 4, jobs: 2 });
      expect(failures).toEqual([]);
      expect([...digests]).toEqual([[digest, 4]]);
    }),
  1_800_000,
);

/** Two users who type the same at other times. Their commands' output is the same, their sessions are not. */
testWithImages(
  'sessions that differ in when keys are typed are each verified, and are different sessions',
  IMAGES,
  async () => {
    const digests = new Set<string>();
    for (const wait of [1_000, 7_654_321]) {
      const recorded = await recordLinux({
        script: `expect "is ready"\nexpect "# "\nwait ${wait}\nsend "seq 9 | sha256sum\\n"\nexpect "  -"\nsend "poweroff\\n"\nexpect "System halted"\n`,
      });
      expect(recorded.result).toMatchObject({ outcome: 'finished', message: undefined });
      expectVerified(recorded);
      digests.add(recorded.result.digest);
    }
    expect(digests.size).toBe(2);
  },
  1_800_000,
);
