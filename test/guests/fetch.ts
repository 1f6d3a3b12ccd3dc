/**
 * `npm run guests`: Debian's images for Xen, unmodified, into the git-ignored folder guests/debian. Packages are
 * downloaded with `apt-get download` and unpacked with `dpkg -x`; nothing is installed and no root is needed, except
 * to refresh apt's package lists. Running it again downloads only what changed.
 *
 * guests/debian/manifest.json lists each package: name, version, file, sha256 (that apt checked against Debian's
 * signed lists).
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What rexen boots from each package. A `via` package only depends on the real one, whose name holds the version. */
const WANTED: readonly { readonly name: string; readonly via?: true; readonly use: string }[] = [
  { name: 'grub-xen-host', use: 'GRUB for Xen: PV 32 and 64 bit, PVH' },
  { name: 'linux-image-cloud-amd64', via: true, use: 'Linux for clouds: PV, PVH' },
  { name: 'linux-image-amd64', via: true, use: 'Linux: PV, PVH, PVHVM' },
  { name: 'busybox-static', use: 'user space of the Linux guests' },
  { name: 'xen-utils-4.17', use: 'hvmloader, xen-shim' },
  { name: 'xenstore-utils', use: 'xenstore-ls and friends in the Linux guests' },
  { name: 'libxenstore4', use: 'a library of xenstore-utils' },
  { name: 'libxentoolcore1', use: 'a library of xenstore-utils' },
  { name: 'libc6', use: 'a library of xenstore-utils' },
  { name: 'libgcc-s1', use: 'a library of xenstore-utils' },
  { name: 'memtest86+', use: 'memtest86+' },
  { name: 'seabios', use: 'SeaBIOS' },
];

interface Entry {
  readonly package: string;
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
}

const root = new URL('../..', import.meta.url).pathname;
const folder = join(root, 'guests/debian');
const debs = join(folder, 'packages');
const manifestPath = join(folder, 'manifest.json');

const ELSEWHERE = `apt-get and dpkg-deb are needed to fetch Debian's images, and this machine lacks them.
Elsewhere, run it in a container and keep the folder:
  docker run --rm -v "$PWD":/rexen -w /rexen node:24-bookworm node test/guests/fetch.ts
or take these amd64 packages of Debian 12 from https://packages.debian.org/bookworm, unpack each with
"ar x FILE.deb && tar xf data.tar.*" inside guests/debian:
  ${WANTED.map((wanted) => wanted.name).join(' ')}
The tests that need them skip until then; everything else works.`;

class Failure extends Error {}

function run(command: string, args: readonly string[], cwd = root): string {
  const result = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
    maxBuffer: 1 << 26,
  });
  if (result.error || result.status !== 0)
    throw new Failure(`${command} ${args.join(' ')}: ${result.error?.message ?? result.stderr.trim()}`);
  return result.stdout;
}

function has(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** The versions apt would download, by package; a package that its lists do not know is left out. */
function candidates(names: readonly string[]): Map<string, string> {
  const found = run('apt-cache', ['policy', ...names]).matchAll(/^(\S+):\n.*\n {2}Candidate: (\S+)/gm);
  return new Map([...found].filter((match) => match[2] !== '(none)').map((match) => [match[1]!, match[2]!]));
}

function realPackage(name: string): string {
  const real = /^\s*Depends: (linux-image-\S+)/m.exec(run('apt-cache', ['depends', name]))?.[1];
  if (!real) throw new Failure(`${name} names no kernel package; see: apt-cache depends ${name}`);
  return real;
}

function updateLists(): void {
  if (process.getuid?.() !== 0) {
    throw new Failure(`apt's package lists are missing or old; run "sudo apt-get update", then this again`);
  }
  console.log('apt-get update');
  run('apt-get', ['update', '-q']);
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function download(name: string): Entry {
  const scratch = join(debs, `.new-${name}`);
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  // As root, apt would hand the download to its own user, who may not write here.
  run('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', name], scratch);
  const file = readdirSync(scratch).find((entry) => entry.endsWith('.deb'));
  if (!file) throw new Failure(`apt-get download ${name} left no package`);
  const version = run('dpkg-deb', ['-f', join(scratch, file), 'Version']).trim();
  run('dpkg-deb', ['-x', join(scratch, file), folder]);
  for (const old of readdirSync(debs)) if (old.startsWith(`${name}_`)) rmSync(join(debs, old));
  renameSync(join(scratch, file), join(debs, file));
  rmSync(scratch, { recursive: true });
  return { package: name, version, file: `packages/${file}`, sha256: sha256(join(debs, file)) };
}

function readManifest(): Entry[] {
  try {
    return JSON.parse(readFileSync(manifestPath, 'utf8'));
  } catch {
    return [];
  }
}

function isWhole(entry: Entry | undefined, version: string): entry is Entry {
  if (entry?.version !== version) return false;
  const path = join(folder, entry.file);
  return existsSync(path) && sha256(path) === entry.sha256;
}

function fetchAll(): void {
  mkdirSync(debs, { recursive: true });
  if (candidates(WANTED.map((wanted) => wanted.name)).size < WANTED.length) updateLists();
  const names = WANTED.map((wanted) => (wanted.via ? realPackage(wanted.name) : wanted.name));
  const versions = candidates(names);
  const before = readManifest();
  const entries: Entry[] = [];
  let updated = false;
  for (const [i, wanted] of WANTED.entries()) {
    const name = names[i]!;
    const version = versions.get(name);
    if (version === undefined) throw new Failure(`apt knows no package ${name}; are Debian 12's sources configured?`);
    let entry = before.find((old) => old.package === name);
    if (isWhole(entry, version)) console.log(`have   ${name} ${version}`);
    else {
      console.log(`fetch  ${name} ${version} (${wanted.use})`);
      try {
        entry = download(name);
      } catch (error) {
        // Lists can name a version that the mirror has already replaced.
        if (updated) throw error;
        updateLists();
        updated = true;
        entry = download(wanted.via ? realPackage(wanted.name) : name);
      }
    }
    entries.push(entry);
    writeFileSync(manifestPath, `${JSON.stringify(entries, null, 2)}\n`);
  }
  console.log(`${entries.length} packages in guests/debian; manifest in guests/debian/manifest.json`);
}

if (!['apt-get', 'apt-cache', 'dpkg-deb'].every(has)) {
  console.error(ELSEWHERE);
  process.exitCode = 1;
} else {
  try {
    fetchAll();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  }
}
