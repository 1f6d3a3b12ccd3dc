/**
 * `npm run test:kvm [-- --anyway]`: the system guests on /dev/kvm as a second opinion, compared case by case with rexen. Skips,
 * saying why, where KVM is not there or does not run the guest's privileged code on the processor itself.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { arch, tmpdir } from 'node:os';
import { join } from 'node:path';
import { record } from '../../src/index.ts';
import { smallGuest } from '../support/images.ts';

const GUESTS = ['faults', 'system-segments', 'system-gates', 'system-modes', 'system-paging', 'system-registers'];
/** What host.c ends with where KVM is not usable. */
const NOT_USABLE = 2;
const TIMEOUT_MS = 120_000;
const MAX_TICKS = 200_000_000;

/** Why there is no second opinion here, or undefined. */
export function cannotAskKvm(anyway: boolean): string | undefined {
  if (process.platform !== 'linux' || arch() !== 'x64') return 'needs Linux on x86-64';
  if (spawnSync('gcc', ['--version']).status !== 0) return 'needs gcc';
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return '/dev/kvm is not there, or not ours to use';
  }
  if (!anyway && existsSync('/sys/module/kvm_pvm'))
    return 'KVM here is PVM: it emulates privileged code, so its opinion is not the processor’s (--anyway asks it all the same)';
  return undefined;
}

/** Cases by number: `ok 12 iret` or `NOT OK 12 iret`, without what follows a failure. */
function cases(text: string): Map<number, string> {
  const found = new Map<number, string>();
  for (const line of text.split(/\r?\n/)) {
    const match = /^(?:NOT OK|ok) (\d+) /.exec(line);
    if (match) found.set(Number(match[1]), line);
  }
  return found;
}

async function onRexen(guest: string): Promise<Map<number, string>> {
  const config = `name = "guest"\ntype = "pvh"\nkernel = "${smallGuest(guest)}"\nmemory = 8\non_reboot = "destroy"\n`;
  const recorded = await record({ domains: [config], maxTicks: MAX_TICKS });
  return cases(recorded.console('guest'));
}

/** Compares one guest. @returns whether nothing differs */
async function compare(guest: string, host: string): Promise<boolean> {
  const kvm = spawnSync(host, [smallGuest(guest)], { encoding: 'utf8', timeout: TIMEOUT_MS });
  if (kvm.status === NOT_USABLE) throw new Error(kvm.stderr.trim());
  const theirs = cases(kvm.stdout);
  const ours = await onRexen(guest);
  const differing = [...ours].filter(([n, line]) => theirs.has(n) && theirs.get(n) !== line);
  for (const [n, line] of differing) console.log(`  rexen: ${line}\n  KVM:   ${theirs.get(n)}`);
  const missing = [...ours.keys()].filter((n) => !theirs.has(n)).length;
  const why = kvm.stderr.trim() === '' ? '' : ` (${kvm.stderr.trim()})`;
  console.log(
    `${guest}: ${ours.size - missing - differing.length} of ${ours.size} cases agree, ${differing.length} differ, KVM lacks ${missing}${why}`,
  );
  return differing.length === 0 && missing === 0;
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(
      'usage: npm run test:kvm [-- --anyway]\nCompares the system guests on /dev/kvm with rexen, case by case.',
    );
    return 0;
  }
  const reason = cannotAskKvm(args.includes('--anyway'));
  if (reason !== undefined) {
    console.log(`test:kvm skips: ${reason}`);
    return 0;
  }
  const folder = mkdtempSync(join(tmpdir(), 'kvm-host-'));
  try {
    const host = join(folder, 'host');
    const built = spawnSync('gcc', ['-std=gnu17', '-O1', '-Wall', '-o', host, join(import.meta.dirname, 'host.c')], {
      encoding: 'utf8',
    });
    if (built.status !== 0) throw new Error(`gcc cannot build the host:\n${built.stderr}`);
    let same = true;
    for (const guest of GUESTS) same = (await compare(guest, host)) && same;
    return same ? 0 : 1;
  } catch (error) {
    console.log(`test:kvm skips: ${(error as Error).message}`);
    return 0;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.filename === process.argv[1]) process.exitCode = await main(process.argv.slice(2));
