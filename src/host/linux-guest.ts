/** Debian's kernel with busybox as a guest: finds the packages' files and makes the initramfs on the spot. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CpioEntry, cpioArchive, FileType } from '../toolstack/builder/cpio.ts';
import { reason, sha256Of } from './files.ts';
import { HOTPLUG, INIT, POWER_COMMANDS, RESIZE, SHELL_INIT } from './linux-init.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const DEBIAN = join(PROJECT, 'guests/debian');
/** Initramfs files stay here under their content's name: recordings refer to them. */
const MADE = join(PROJECT, 'guests/linux');

/** What the guest needs beside what its kernel has built in. Dependencies come by themselves. */
const MODULES = ['crc32c_generic', 'ext4', 'xen-blkfront', 'xen-netfront'];

export interface LinuxGuest {
  readonly kernel: string;
  readonly initramfs: string;
}

/**
 * @param options.kernel a bzImage or ELF kernel; default the packaged cloud kernel
 * @param options.initrdDir a folder whose files are added to the initramfs and replace its own
 * @throws Error for people: what is missing and how to get it
 */
export function linuxGuest(options: { kernel?: string | undefined; initrdDir?: string | undefined }): LinuxGuest {
  const kernel = options.kernel ?? packagedKernel();
  const busybox = join(DEBIAN, 'bin/busybox');
  if (!existsSync(busybox)) throw absent('bin/busybox');
  const entries = new Map<string, CpioEntry>();
  const add = (entry: CpioEntry) => entries.set(entry.path, entry);
  for (const path of ['bin', 'dev', 'etc', 'lib', 'lib/modules', 'mnt', 'proc', 'root', 'sbin', 'sys', 'tmp'])
    add({ path, mode: FileType.DIRECTORY | 0o755 });
  // The kernel opens it before devtmpfs is mounted.
  add({ path: 'dev/console', mode: FileType.CHARACTER | 0o600, device: [5, 1] });
  add(executable('bin/busybox', new Uint8Array(readFileSync(busybox))));
  add(executable('init', INIT));
  add(file('etc/shinit', SHELL_INIT));
  add(executable('sbin/hotplug', HOTPLUG));
  add(executable('bin/resize', RESIZE));
  for (const [path, text] of POWER_COMMANDS) add(executable(path, text));
  for (const entry of xenstoreTools()) add(entry);
  const modules = modulesFor(kernel);
  for (const { name, bytes } of modules)
    add({ path: `lib/modules/${name}.ko`, mode: FileType.FILE | 0o644, data: bytes });
  add(file('lib/modules/order', modules.map(({ name }) => `${name}\n`).join('')));
  if (options.initrdDir !== undefined) for (const entry of folderEntries(options.initrdDir)) add(entry);
  return { kernel, initramfs: kept(cpioArchive([...entries.values()])) };
}

/** An initramfs of exactly what is in a folder, and the console that a kernel opens first. @returns its path. @throws Error for people */
export function initramfsOf(folder: string): string {
  const entries = new Map<string, CpioEntry>();
  for (const entry of [
    { path: 'dev', mode: FileType.DIRECTORY | 0o755 },
    { path: 'dev/console', mode: FileType.CHARACTER | 0o600, device: [5, 1] as const },
    ...folderEntries(folder),
  ])
    entries.set(entry.path, entry);
  if (!entries.has('init')) throw new Error(`--initrd-dir ${folder} has no file init, which the kernel starts`);
  return kept(cpioArchive([...entries.values()]));
}

function packagedKernel(): string {
  const boot = join(DEBIAN, 'boot');
  const names = existsSync(boot) ? readdirSync(boot) : [];
  const name = names
    .filter((each) => /^vmlinuz-[\d.-]+-cloud-amd64$/.test(each))
    .sort()
    .at(-1);
  if (name === undefined) throw absent('the cloud kernel');
  const path = join(boot, name);
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}

function absent(what: string): Error {
  return new Error(`${what} of Debian is not there; fetch the packages with: npm run guests`);
}

const LIBRARIES = 'lib/x86_64-linux-gnu';

/** xenstore-ls and friends, one program by many names, with the libraries it needs; nothing if they were not fetched. */
function xenstoreTools(): CpioEntry[] {
  // Fetched last, so the others are there too.
  if (!existsSync(join(DEBIAN, LIBRARIES, 'libgcc_s.so.1'))) return [];
  const folder = (path: string): CpioEntry => ({ path, mode: FileType.DIRECTORY | 0o755 });
  const link = (path: string, to: string): CpioEntry => ({
    path,
    mode: FileType.LINK | 0o777,
    data: new TextEncoder().encode(to),
  });
  const copy = (path: string, from: string) => executable(path, new Uint8Array(readFileSync(join(DEBIAN, from))));
  return [
    folder(LIBRARIES),
    folder('lib64'),
    copy(`${LIBRARIES}/ld-linux-x86-64.so.2`, `${LIBRARIES}/ld-linux-x86-64.so.2`),
    link('lib64/ld-linux-x86-64.so.2', `/${LIBRARIES}/ld-linux-x86-64.so.2`),
    copy(`${LIBRARIES}/libc.so.6`, `${LIBRARIES}/libc.so.6`),
    // Threads that are cancelled need it: xenstore-watch.
    copy(`${LIBRARIES}/libgcc_s.so.1`, `${LIBRARIES}/libgcc_s.so.1`),
    copy(`${LIBRARIES}/libxenstore.so.4`, `usr/${LIBRARIES}/libxenstore.so.4`),
    copy(`${LIBRARIES}/libxentoolcore.so.1`, `usr/${LIBRARIES}/libxentoolcore.so.1`),
    copy('bin/xenstore', 'usr/bin/xenstore'),
    ...XENSTORE_COMMANDS.map((name) => link(`bin/xenstore-${name}`, 'xenstore')),
  ];
}
const XENSTORE_COMMANDS = ['chmod', 'exists', 'list', 'ls', 'read', 'rm', 'watch', 'write'];

interface KernelModule {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The modules of the kernel's own package in the order of loading; what it has built in is not among them. */
function modulesFor(kernel: string): KernelModule[] {
  const release = /^vmlinu[zx]-(.+)$/.exec(basename(kernel))?.[1];
  if (release === undefined) return [];
  const folders = [DEBIAN, dirname(dirname(kernel))].map((each) => join(each, 'lib/modules', release));
  const root = folders.find((each) => existsSync(each));
  if (!root) return [];
  const files = new Map<string, string>();
  for (const path of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort())
    if (path.endsWith('.ko')) files.set(plainName(basename(path, '.ko')), join(root, path));
  const loaded: KernelModule[] = [];
  const seen = new Set<string>();
  const load = (name: string): void => {
    const path = files.get(plainName(name));
    if (path === undefined || seen.has(path)) return;
    seen.add(path);
    const bytes = new Uint8Array(readFileSync(path));
    for (const needed of dependencies(bytes)) load(needed);
    loaded.push({ name: basename(path, '.ko'), bytes });
  };
  for (const name of MODULES) load(name);
  return loaded;
}

/** Modules are files with dashes and names with underscores. */
function plainName(name: string): string {
  return name.replaceAll('-', '_');
}

/** `depends=` in a module's .modinfo section, whose strings end in zeros. */
function dependencies(module: Uint8Array): string[] {
  const text = Buffer.from(module.buffer, module.byteOffset, module.length).toString('latin1');
  return (/\0depends=([^\0]*)\0/.exec(text)?.[1] ?? '').split(',').filter((name) => name !== '');
}

function executable(path: string, content: string | Uint8Array): CpioEntry {
  return { ...file(path, content), mode: FileType.FILE | 0o755 };
}

function file(path: string, content: string | Uint8Array): CpioEntry {
  return {
    path,
    mode: FileType.FILE | 0o644,
    data: typeof content === 'string' ? new TextEncoder().encode(content) : content,
  };
}

/** Everything below a folder, folders before what is in them. Devices and sockets are left out. */
function folderEntries(folder: string): CpioEntry[] {
  try {
    if (!statSync(folder).isDirectory()) throw new Error('it is not a folder');
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .sort()
      .flatMap((path) => folderEntry(join(folder, path), path));
  } catch (error) {
    throw new Error(`cannot read --initrd-dir ${folder}: ${reason(error)}`);
  }
}

function folderEntry(real: string, path: string): CpioEntry[] {
  const stat = lstatSync(real);
  const permissions = stat.mode & 0o777;
  if (stat.isDirectory()) return [{ path, mode: FileType.DIRECTORY | permissions }];
  if (stat.isSymbolicLink())
    return [{ path, mode: FileType.LINK | 0o777, data: new TextEncoder().encode(readlinkSync(real)) }];
  return stat.isFile() ? [{ path, mode: FileType.FILE | permissions, data: new Uint8Array(readFileSync(real)) }] : [];
}

/** Writes the archive once; not compressed, so that its bytes depend on no library's version. @returns its path */
function kept(archive: Uint8Array): string {
  const path = resolve(MADE, `initramfs-${sha256Of(archive).slice(0, 16)}.cpio`);
  try {
    if (statSync(path, { throwIfNoEntry: false })?.size !== archive.length) {
      mkdirSync(MADE, { recursive: true });
      writeFileSync(`${path}.new-${process.pid}`, archive);
      renameSync(`${path}.new-${process.pid}`, path);
    }
  } catch (error) {
    throw new Error(`cannot write ${path}: ${reason(error)}`);
  }
  return path;
}
