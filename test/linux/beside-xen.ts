/**
 * What Debian's kernel asks of rexen, beside what the same kernel asked of Xen 4.17 in the same session: exits,
 * hypercalls and event channels, as a table in Markdown.
 *
 *     npm run beside-xen [-- FILE.rxn]
 *
 * Without a file it records the session: the packaged cloud kernel, 256 MB, 2 vcpus on one processor, an init that
 * prints, hashes, sorts, loops and powers off. Xen's figures are those of xenalyze --summary, v0 and v1; it lists
 * hypercalls by number for v0 alone. README.md has the table, with what explains each difference.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { XEN_NAMES } from '../../src/commands/common.ts';
import { FileSource } from '../../src/host/files.ts';
import { linuxGuest } from '../../src/host/linux-guest.ts';
import { countByKind, type EventCount } from '../../src/log/count.ts';
import { openRecording, type Recording } from '../../src/log/recording.ts';
import { cpioArchive, FileType } from '../../src/toolstack/builder/cpio.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const BUSYBOX = fileURLToPath(new URL('../../guests/debian/bin/busybox', import.meta.url));

/** The reference's: its console shows what it printed, and the sums say of what. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
echo BOOTED domU type=$(cat /sys/hypervisor/guest_type) uuid=$(cat /sys/hypervisor/uuid)
echo uptime $(cat /proc/uptime)
dd if=/dev/zero of=/tmp/z bs=1M count=4 2>/dev/null
sha256sum /tmp/z
seq 1 20000 | sort -n | md5sum
i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; echo loop $i
echo uptime $(cat /proc/uptime)
echo DONE domU
poweroff -f
`;

/** A row of Xen's: v0, v1 (undefined where xenalyze does not say), and where rexen's log has the same. */
interface Row {
  readonly name: string;
  readonly xen: readonly [v0: number, v1: number | undefined];
  readonly ours: (found: Found) => EventCount[];
}

type Found = (kind: string, what?: RegExp) => EventCount[];

const call = (name: string, v0: number): Row => ({
  name: `\`${name}\``,
  xen: [v0, undefined],
  ours: (found) => found('hypercall', new RegExp(`^${name}( |$)`)),
});

/** reference/xen-4.17/linux-pvh-trace-summary.txt */
const ROWS: readonly Row[] = [
  { name: 'port 0x42 read', xen: [100_004, 0], ours: (found) => found('io', /^port 0x42 read$/) },
  { name: 'other ports', xen: [153, 83], ours: (found) => found('io', /^port (?!0x42 read)/) },
  { name: 'MMIO', xen: [4, 0], ours: (found) => found('mmio') },
  { name: 'CPUID', xen: [804, 414], ours: (found) => found('cpuid') },
  { name: 'RDMSR, WRMSR', xen: [1_431, 1_131], ours: (found) => found('msr') },
  { name: 'HLT', xen: [373, 447], ours: (found) => found('halt') },
  { name: 'callback vector 0xf3', xen: [1_202, 1_033], ours: (found) => found('interrupt-deliver', /^vector 0xf3$/) },
  { name: 'other vectors', xen: [0, 1], ours: (found) => found('interrupt-deliver', /^vector 0x(?!f3$)/) },
  { name: 'hypercalls', xen: [2_122, 1_316], ours: (found) => found('hypercall') },
  call('vcpu_op', 1_113),
  call('event_channel_op', 987),
  call('xen_version', 11),
  call('hvm_op', 6),
  call('sched_op', 3),
  call('memory_op', 1),
  call('vm_assist', 1),
  call('grant_table_op', 0),
];

/** Ports by number, both vcpus: reads, writes. */
const XEN_PORTS: Readonly<Record<string, readonly [number, number]>> = {
  '0x20': [0, 1],
  '0x21': [0, 10],
  '0x40': [0, 4],
  '0x42': [100_004, 2],
  '0x43': [0, 4],
  '0x61': [1, 1],
  '0x70': [0, 2],
  '0x71': [0, 2],
  '0xa0': [0, 1],
  '0xa1': [0, 7],
  '0x2e9': [3, 3],
  '0x2f9': [3, 3],
  '0x3e9': [3, 3],
  '0x3f9': [3, 3],
  '0x4d0': [1, 1],
  '0x4d1': [1, 1],
  '0xcf8': [3, 45],
  '0xcfa': [0, 1],
  '0xcfb': [0, 2],
  '0xcfc': [10, 0],
  '0xcfe': [32, 0],
  ...Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`0xaf0${i.toString(16)}`, [1, 0]])),
  '0xafe0': [8, 9],
  '0xafe1': [0, 1],
  '0xafe2': [19, 12],
  '0xafe3': [0, 1],
  '0xb000': [0, 1],
  '0xb002': [7, 6],
};

function main(): void {
  const given = process.argv[2];
  const folder = mkdtempSync(join(tmpdir(), 'rexen-beside-'));
  try {
    const file = given ?? recordReference(folder);
    const source = new FileSource(file);
    for (const line of table(openRecording(source))) console.log(line);
    source.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Records the reference's session by the command line. @returns the recording */
function recordReference(folder: string): string {
  const [directory, executable] = [FileType.DIRECTORY | 0o755, FileType.FILE | 0o755];
  const { kernel } = linuxGuest({});
  const at = (name: string) => join(folder, name);
  const archive = cpioArchive([
    ...['bin', 'dev', 'proc', 'sys', 'tmp'].map((path) => ({ path, mode: directory })),
    { path: 'dev/console', mode: FileType.CHARACTER | 0o600, device: [5, 1] },
    { path: 'bin/busybox', mode: executable, data: new Uint8Array(readFileSync(BUSYBOX)) },
    { path: 'init', mode: executable, data: new TextEncoder().encode(INIT) },
  ]);
  writeFileSync(at('initrd'), archive);
  writeFileSync(
    at('domU.cfg'),
    `name = "domU"\ntype = "pvh"\nkernel = "${kernel}"\nramdisk = "${at('initrd')}"\nmemory = 256\nvcpus = 2\n` +
      'extra = "console=hvc0 panic=-1"\n',
  );
  writeFileSync(at('script'), 'expect "DONE domU"\nexpect "System halted"\n');
  const options = ['-o', at('domU.rxn'), '--script', at('script'), '--pcpus', '1', '--json'];
  execFileSync(process.execPath, [MAIN, 'record', at('domU.cfg'), ...options], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return at('domU.rxn');
}

function table(recording: Recording): string[] {
  const rows = countByKind(recording, { domain: 1 }, XEN_NAMES);
  const found: Found = (kind, what) => {
    const row = rows.find((each) => each.what === kind);
    return row === undefined ? [] : what ? row.of.filter((each) => what.test(each.what)) : [row];
  };
  const pair = (v0: number, v1: number | undefined) =>
    `${v0.toLocaleString('en')} + ${v1?.toLocaleString('en') ?? '-'}`;
  const sum = (counts: readonly EventCount[], at: string) => counts.reduce((n, row) => n + (row.at[at] ?? 0), 0);
  const lines = ['| exit or call | Xen 4.17.7 | rexen |', '| --- | --- | --- |'];
  for (const { name, xen, ours } of ROWS) {
    const counts = ours(found);
    lines.push(`| ${name} | ${pair(...xen)} | ${pair(sum(counts, 'd1v0'), sum(counts, 'd1v1'))} |`);
  }
  const list = (counts: readonly EventCount[]) => counts.map(({ what, count }) => `${what} ${count}`).join(', ');
  return [
    ...lines,
    '',
    `Hypercalls by sub-operation: ${list(found('hypercall', /./))}.`,
    `Hypercalls that failed: ${list(found('hypercall-return', / = /)) || 'none'}.`,
    `Event channels bound: ${list(found('evtchn-bind', /./))}; sent to: ${list(found('evtchn-send', /./))}.`,
    `CPUID: ${list(found('cpuid', /^leaf 0x(?!4000..00$)/))}; where hypervisors may be: ${found('cpuid', /^leaf 0x4000..00$/).length}.`,
    `MSRs: ${list(found('msr', /./))}.`,
    `Not there: ${list(found('unimplemented', /./)) || 'nothing'}.`,
    `Ports that differ (Xen's, rexen's): ${portDifferences(found).join(', ') || 'none'}.`,
  ];
}

function portDifferences(found: Found): string[] {
  const ours = new Map<string, [number, number]>();
  for (const { what, count } of found('io', /./)) {
    const [, port, access] = what.split(' ');
    const both = ours.get(port!) ?? [0, 0];
    both[access === 'read' ? 0 : 1] += count;
    ours.set(port!, both);
  }
  const ports = new Set([...Object.keys(XEN_PORTS), ...ours.keys()]);
  return [...ports].flatMap((port) =>
    ['read', 'write'].flatMap((access, i) => {
      const [theirs, mine] = [XEN_PORTS[port]?.[i] ?? 0, ours.get(port)?.[i] ?? 0];
      return theirs === mine ? [] : [`${port} ${access} ${theirs}, ${mine}`];
    }),
  );
}

main();
