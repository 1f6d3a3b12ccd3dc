/** `rexen linux`: Debian's kernel with busybox, recorded, in one line. */
import type { Command } from 'commander';
import { ImageTable } from '../host/images.ts';
import { linuxGuest } from '../host/linux-guest.ts';
import { loadDomain } from '../host/start.ts';
import { parseDomainConfig } from '../toolstack/xl/config.ts';
import { wholeNumber } from './common.ts';
import { collect, GDB_HELP, recordDomains } from './record.ts';

interface LinuxOptions {
  record?: string;
  script?: string[];
  kernel?: string;
  initrdDir?: string;
  vcpus: number;
  maxVcpus?: number;
  memory: number;
  domains: number;
  net?: boolean;
  disk: string[];
  append: string;
  maxTicks?: number;
  commit?: boolean;
  gdb?: string;
  json?: boolean;
}

export function describeLinux(command: Command): void {
  command
    .description(
      "Boots Debian's cloud kernel with a busybox initramfs made on the spot, and records it. The terminal is the console, Ctrl-] ends; with --script, the script drives it.",
    )
    .option('--record <file>', 'where the recording goes; default recordings/NAME-DATE.rxn')
    .option('--script <[domain=]file>', 'as for record; several run side by side', collect)
    .option('--kernel <file>', 'another kernel; a vmlinuz-VERSION takes its modules from guests/debian')
    .option('--initrd-dir <dir>', 'add the files of this folder to the initramfs; they replace its own')
    .option('--vcpus <n>', 'virtual processors', wholeNumber, 1)
    .option('--max-vcpus <n>', 'so many can be there after xl vcpu-set', wholeNumber)
    .option('--memory <MiB>', 'memory of a domain', wholeNumber, 256)
    .option(
      '--domains <n>',
      'so many: linux, linux2, …; with more than one, each has 10.0.0.N on one network',
      wholeNumber,
      1,
    )
    .option('--net', "the host's network, through a gateway at 10.0.2.2; what comes from there is on the recording")
    .option(
      '--disk <file[,r]>',
      'a disk of the first domain (xvda, xvdb, …), raw or NAME.qcow2; the file is not altered',
      collect,
      [],
    )
    .option('--commit', "at the end, write what the guest wrote into the disks' files")
    .option('--append <text>', "more for the kernel's command line", '')
    .option('--max-ticks <n>', 'end there at the latest', wholeNumber)
    .option('--gdb <host:port>', GDB_HELP)
    .option('--json', 'the result as one JSON object, and no console')
    .addHelpText(
      'after',
      `
Debian's packages must be there: npm run guests fetches them, once.

The guest's tty has the terminal's size at the start; when the window changes, run resize in the guest, which asks the
terminal (a PV console carries bytes alone).

Examples:
  rexen linux
  rexen linux --vcpus 2 --disk data.img --record linux.rxn
  rexen linux --domains 2 --script ping.script
  rexen linux --net                                   # then: wget http://10.0.2.2:8000/ reaches the host's loopback`,
    )
    .action(async (options: LinuxOptions) => {
      const images = new ImageTable();
      const { kernel, initramfs } = linuxGuest(options);
      const domains = Array.from({ length: Math.max(1, options.domains) }, (_, i) =>
        loadDomain(parseDomainConfig(configText(options, i, kernel, initramfs), 'rexen linux').config, images),
      );
      const { record: output, ...rest } = options;
      process.exitCode = await recordDomains(domains, images, { ...rest, ...(output === undefined ? {} : { output }) });
    });
}

/** The domain's configuration as a person would write it. */
function configText(options: LinuxOptions, index: number, kernel: string, initramfs: string): string {
  const [net, vif] = options.net
    ? [`rexen.ip=10.0.2.${15 + index}/24 rexen.gw=10.0.2.2 rexen.dns=10.0.2.3`, '"bridge=user"']
    : options.domains > 1
      ? [`rexen.ip=10.0.0.${index + 1}/24`, '""']
      : ['', ''];
  const append = ['console=hvc0 panic=-1', net, terminalSize(options), options.append];
  const disks = index === 0 ? options.disk.map(diskText) : [];
  return [
    `name = "${index === 0 ? 'linux' : `linux${index + 1}`}"`,
    'type = "pvh"',
    `kernel = ${quoted(kernel)}`,
    `ramdisk = ${quoted(initramfs)}`,
    `extra = ${quoted(append.filter((part) => part !== '').join(' '))}`,
    `memory = ${options.memory}`,
    `vcpus = ${options.vcpus}`,
    `maxvcpus = ${options.maxVcpus ?? options.vcpus}`,
    `disk = [${disks.map(quoted).join(', ')}]`,
    `vif = [${vif}]`,
    '',
  ].join('\n');
}

/** Of the terminal that is the console, for the guest's tty: its size at the start. */
function terminalSize({ script, json }: LinuxOptions): string {
  const { isTTY, rows, columns } = process.stdout;
  return isTTY && rows > 0 && columns > 0 && script === undefined && !json ? `rexen.size=${rows}x${columns}` : '';
}

function diskText(disk: string, index: number): string {
  const readOnly = disk.endsWith(',r');
  const file = readOnly ? disk.slice(0, -2) : disk;
  const format = file.endsWith('.qcow2') ? 'qcow2' : 'raw';
  return `format=${format}, vdev=xvd${String.fromCharCode(97 + index)}, access=${readOnly ? 'r' : 'w'}, target=${file}`;
}

function quoted(text: string): string {
  if (/["'\n]/.test(text))
    throw new Error(`rexen linux cannot take a quote in ${text}; use rexen record with a configuration`);
  return `"${text}"`;
}
