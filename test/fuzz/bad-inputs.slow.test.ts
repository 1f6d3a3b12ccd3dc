/** A thousand bad inputs: each must give a clear error or run within its limits; none may crash, hang or eat memory. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { Ticks } from '../../src/base/ticks.ts';
import { MemoryFile } from '../../src/host/files.ts';
import { open, record, replay } from '../../src/index.ts';
import { EventLog } from '../../src/log/append.ts';
import { RecordingWriter } from '../../src/log/recording.ts';
import type { SessionConfig } from '../../src/session.ts';
import { debianImage, projectRoot, smallGuest } from '../support/images.ts';
import { GOOD_CONFIG, HOSTILE_CONFIGS, mutate, randomBytes, unclear } from './bad-inputs.ts';

const folder = mkdtempSync(join(tmpdir(), 'rexen-bad-'));
const KERNEL = smallGuest('hello');
const MAX_TICKS = 300_000;
/** A start with a new memory size compiles the interpreter; on a busy machine that takes seconds. */
const SLOW_MS = 60_000;
let inputs = 0;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `body`; whatever comes must be clear. @returns true if it was accepted */
async function survives(what: string, body: () => unknown): Promise<boolean> {
  inputs++;
  const start = performance.now();
  try {
    await body();
    return true;
  } catch (error) {
    expect(unclear(error), what).toBeUndefined();
    return false;
  } finally {
    expect(performance.now() - start, `${what}: milliseconds`).toBeLessThan(SLOW_MS);
  }
}

/** Guest memory here is 8 MiB; machines of tests before may not be collected yet, so only a flood is seen. */
afterEach(() => expect(process.memoryUsage().rss).toBeLessThan(2 ** 30));

const boot = (text: string) => record({ domains: [text.replaceAll('KERNEL', KERNEL)], maxTicks: MAX_TICKS });

it('configurations', async () => {
  let accepted = 0;
  for (const [i, text] of HOSTILE_CONFIGS.entries())
    if (await survives(`hostile configuration ${i}: ${text.slice(0, 100)}`, () => boot(text))) accepted++;
  const good = new TextEncoder().encode(GOOD_CONFIG);
  for (let seed = 1; seed <= 250; seed++) {
    const text = new TextDecoder('latin1').decode(mutate(good, seed));
    // Another size of memory costs a compilation: the tens of megabytes are enough here.
    if (/memory = \d{3,5}(?!\d)/.test(text)) continue;
    if (await survives(`configuration, seed ${seed}: ${JSON.stringify(text)}`, () => boot(text))) accepted++;
  }
  for (let seed = 1; seed <= 100; seed++) {
    const text = new TextDecoder('latin1').decode(randomBytes(seed, 1 + ((seed * 37) % 400)));
    await survives(`random configuration, seed ${seed}`, () => boot(text));
  }
  expect(accepted).toBeGreaterThan(5);
  expect(inputs).toBeGreaterThan(300);
});

it('kernels', async () => {
  const path = join(folder, 'kernel');
  const text = GOOD_CONFIG.replace('KERNEL', path);
  const run = (what: string, bytes: Uint8Array) => {
    writeFileSync(path, bytes);
    return survives(what, () => record({ domains: [text], maxTicks: MAX_TICKS }));
  };
  const elf = new Uint8Array(readFileSync(KERNEL));
  for (let seed = 1; seed <= 200; seed++) await run(`ELF with a changed head, seed ${seed}`, mutate(elf, seed, 400));
  for (let seed = 1; seed <= 100; seed++) await run(`changed ELF, seed ${seed}`, mutate(elf, seed));
  for (let seed = 1; seed <= 40; seed++) await run(`random kernel, seed ${seed}`, randomBytes(seed, seed * 97));
  for (const length of [0, 1, 4, 16, 52, 63, 64, 100, 120, 4096, 8191])
    await run(`ELF of ${length} bytes`, elf.slice(0, length));
  const linux = debianImage('boot/vmlinuz-*-cloud-amd64').path;
  if (linux === undefined) return;
  const image = new Uint8Array(readFileSync(linux));
  for (let seed = 1; seed <= 10; seed++)
    await run(`Linux with a changed head, seed ${seed}`, mutate(image, seed, 1024));
  for (let seed = 1; seed <= 4; seed++) await run(`changed Linux, seed ${seed}`, mutate(image, seed));
}, 900_000);

it('ramdisks', async () => {
  const path = join(folder, 'ramdisk');
  for (let seed = 1; seed <= 10; seed++) {
    writeFileSync(path, randomBytes(seed, seed * 100_000));
    await survives(`ramdisk, seed ${seed}`, () => boot(`${GOOD_CONFIG}ramdisk = "${path}"\n`));
  }
});

let good: Uint8Array;
beforeAll(async () => {
  const { file } = await record({ domains: [GOOD_CONFIG.replace('KERNEL', KERNEL)] });
  good = file!.slice();
});

it('recordings', async () => {
  expect(replay(good)).toMatchObject({ verified: true, whole: true });
  for (let seed = 1; seed <= 250; seed++) {
    const bytes = mutate(good, seed);
    await survives(`changed recording, seed ${seed}`, () => {
      const result = replay(bytes);
      // What opens may be an unchanged beginning; it is never a silent divergence.
      expect(result.verified).toBe(true);
    });
  }
  for (let seed = 1; seed <= 100; seed++)
    await survives(`random recording, seed ${seed}`, () => replay(randomBytes(seed, seed * 31)));
  for (let seed = 1; seed <= 60; seed++) {
    // The preamble is right, what follows is not.
    const bytes = randomBytes(seed, 400);
    bytes.set(good.subarray(0, 16));
    await survives(`recording with a good preamble, seed ${seed}`, () => replay(bytes));
  }
});

/** A recording whose frames and checksums are right, with one event and `config` in its header. */
function crafted(config: unknown, images: readonly unknown[]): Uint8Array {
  const file = new MemoryFile();
  const header = { rexen: 'x', recorded: '2026-01-01T00:00:00Z', title: 't', config, images };
  const writer = new RecordingWriter(file, header as never, new Map());
  const log = new EventLog(() => 0 as Ticks);
  log.addSink(writer);
  log.emitAt(1, -1, 'domain-create', { name: 'a' });
  log.flush();
  return file.bytes.slice();
}

it('recordings whose frames are right and whose configuration is not', async () => {
  using recording = open(good);
  const { config, images } = recording.recording.header! as unknown as { config: SessionConfig; images: unknown[] };
  const domain = config.domains[0]!;
  const machines = [
    null,
    7,
    [],
    { memory_mib: 1e9 },
    { memory_mib: -1 },
    { memory_mib: 0 },
    { memory_mib: 1e300 },
    { pcpus: 1e9 },
    { pcpus: 0 },
  ];
  const more = [
    { slice_ticks: 0 },
    { slice_ticks: -5 },
    { slice_ticks: 'x' },
    { slice_ticks: 1e99 },
    { pcpus: 1.5 },
    { nonsense: 1 },
  ];
  const others = [
    null,
    7,
    {},
    { ...domain, kernel: 'f'.repeat(64) },
    { ...domain, kernel: 5 },
    { ...domain, config: null },
  ];
  const fields = Object.keys(domain.config).flatMap((key) =>
    [null, -1, 1e12, 'x', [], {}, 1 << 20].map((value) => ({ ...domain, config: { ...domain.config, [key]: value } })),
  );
  for (const [what, hostile] of [
    ...[...machines, ...more].map(
      (machine) => [machine, { ...config, machine: machine && { ...config.machine, ...(machine as object) } }] as const,
    ),
    ...[...others, ...fields].map((d) => [d, { ...config, domains: [d] }] as const),
    ...[null, 3, [], {}, { domains: [], machine: {} }].map((c) => [c, c] as const),
  ]) {
    await survives(`crafted recording: ${JSON.stringify(what)}`, () => replay(crafted(hostile, images)));
  }
  for (const list of [[{}], [{ name: 'a', path: '/dev/zero', size: 5, sha256: 'f'.repeat(64) }], [null]])
    await survives(`crafted images: ${JSON.stringify(list)}`, () => replay(crafted(config, list)));
});

/** Prints the child's peak of memory when it ends. */
const PEAK = `data:text/javascript,process.on('exit',()=>process.stderr.write('\\nPEAK '+process.resourceUsage().maxRSS+'\\n'))`;

function rexen(...args: string[]): { status: number | null; text: string; peakMiB: number } {
  const main = join(projectRoot, 'src/main.ts');
  const child = spawnSync(process.execPath, ['--import', PEAK, main, ...args], {
    encoding: 'utf8',
    timeout: SLOW_MS,
    cwd: folder,
  });
  const [text, peak] = `${child.stdout}\n${child.stderr}`.split('\nPEAK ');
  return { status: child.status, text: text!, peakMiB: Number(peak) / 1024 };
}

it('the command line says what is wrong in words', () => {
  const put = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const config = GOOD_CONFIG.replace('KERNEL', KERNEL);
  const cut = good.slice(0, good.length >> 1);
  const flipped = good.slice();
  flipped[flipped.length >> 1]! ^= 1;
  const cases: readonly (readonly [string[], number | undefined])[] = [
    [['record'], undefined],
    [['record', '/no/such.cfg'], undefined],
    [['record', '/'], undefined],
    [['record', '/dev/zero'], undefined],
    [['record', put('random.cfg', randomBytes(1, 5000))], undefined],
    [['record', put('big.cfg', `x = ${'['.repeat(1_000_000)}`)], undefined],
    [['record', put('kernel.cfg', config.replace(KERNEL, put('bad-kernel', randomBytes(2, 5000))))], undefined],
    [['record', put('memory.cfg', config.replace('memory = 8', 'memory = 999999999'))], undefined],
    [['record', '-o', '/proc/nope/x.rxn', put('good.cfg', config)], undefined],
    [['record', '--max-ticks', 'many', put('good.cfg', config)], undefined],
    [['record', '--script', put('bad.script', 'explode now\n'), put('good.cfg', config)], undefined],
    [['record', '--script', '/no/such.script', put('good.cfg', config)], undefined],
    [['replay'], undefined],
    [['replay', '/no/such.rxn'], undefined],
    [['replay', '/dev/null'], undefined],
    [['replay', put('random.rxn', randomBytes(3, 5000))], undefined],
    [['replay', put('flipped.rxn', flipped)], undefined],
    [['replay', '--until', 'later', put('good.rxn', good)], undefined],
    [['events', put('random.rxn', randomBytes(4, 5000))], undefined],
    [['events', '--kind', 'nonsense', put('good.rxn', good)], undefined],
    [['info', put('random.rxn', randomBytes(5, 5000))], undefined],
    [['info', put('flipped.rxn', flipped)], undefined],
    [['info', put('cut.rxn', cut)], 0],
    [['replay', put('cut.rxn', cut)], 0],
    [['nonsense'], undefined],
  ];
  for (const [args, want] of cases) {
    inputs++;
    const { status, text, peakMiB } = rexen(...args);
    const what = `rexen ${args.join(' ')}: ${text.slice(0, 2000)}`;
    expect(status, what).not.toBeNull();
    if (want !== undefined) expect(status, what).toBe(want);
    else if (!(args[0] === 'info' && args[1]!.endsWith('flipped.rxn'))) expect(status, what).toBeGreaterThan(0);
    expect(text.trim().length, what).toBeGreaterThan(10);
    expect(text, what).not.toMatch(/\n\s+at .*\(|node:internal|TypeError|undefined/);
    expect(peakMiB, what).toBeLessThan(308);
  }
}, 900_000);

it('were a thousand', () => expect(inputs).toBeGreaterThanOrEqual(1000));
