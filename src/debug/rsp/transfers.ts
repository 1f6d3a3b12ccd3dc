/** Objects that gdb reads in pieces: qXfer, and files by vFile (GDB manual, appendices E.7 "Host I/O" and "qXfer"). */
import { type DebugThread, processOf } from '../target.ts';
import { type Conversation, ERROR } from './conversation.ts';
import { fromHex, MAX_PACKET } from './framing.ts';
import { number } from './numbers.ts';

/** Bytes in one answer at most: each may need an escape. */
const MAX_PIECE = MAX_PACKET / 2 - 32;
const MAX_FILES = 16;
/** errno of Host I/O. */
const ENOENT = 2;
const EBADF = 9;
const EMFILE = 24;

/** `read:ANNEX:OFFSET,LENGTH` of an object. */
export function transfer(c: Conversation, args: string): string {
  const [, object = '', annex = '', where = ''] = /^([\w-]+):read:([^:]*):(.*)$/s.exec(args) ?? [];
  if (!Object.hasOwn(OBJECTS, object)) return '';
  const text = OBJECTS[object]!(c, annex);
  return text === undefined ? ERROR : window(text, where);
}

const OBJECTS: Readonly<Record<string, (c: Conversation, annex: string) => string | undefined>> = {
  features: (c, annex) => {
    if (annex !== 'target.xml') return undefined;
    // A gdb that has chosen no thread yet asks on behalf of the first process that it will be told of.
    const thread = c.general > 0 ? c.general : (c.threads()[0]?.id ?? c.chosen);
    c.described.add(processOf(thread));
    return c.target.targetXml(thread);
  },
  threads: (c) =>
    `<?xml version="1.0"?><threads>${c
      .threads()
      .map((each) => threadXml(c, each))
      .join('')}</threads>`,
  'exec-file': (c, annex) => {
    const process = annex === '' ? processOf(c.chosen) : number(annex);
    return c.target.symbolFile(process) ? fileName(process) : undefined;
  },
};

function threadXml(c: Conversation, { id, name, text, core }: DebugThread): string {
  const where = core === undefined ? '' : ` core="${core}"`;
  return `<thread id="${c.format(id)}"${where} name="${escaped(name)}">${escaped(text)}</thread>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]|[^\x20-\x7e]/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** `offset,length` of a text: `m` for more to come, `l` for the last part. */
function window(text: string, args: string): string {
  const [offset = '', length = ''] = args.split(',');
  const from = number(offset);
  const part = text.slice(from, from + Math.min(number(length), MAX_PIECE));
  return (from + part.length < text.length ? 'm' : 'l') + part;
}

// Files: only those with the processes' symbols exist.

function fileName(process: number): string {
  return `/domain-${process}.elf`;
}

const FILES: Readonly<Record<string, (c: Conversation, args: string) => string>> = {
  setfs: () => 'F0',
  open: (c, args) => {
    const bytes = fromHex(args.split(',')[0]!);
    const [, process] = /^\/domain-(\d{1,6})\.elf$/.exec(bytes ? Buffer.from(bytes).toString('latin1') : '') ?? [];
    const content = process === undefined ? undefined : c.target.symbolFile(Number(process));
    if (!content) return failed(ENOENT);
    if (c.files.size >= MAX_FILES) return failed(EMFILE);
    let fd = 3;
    while (c.files.has(fd)) fd++;
    c.files.set(fd, content);
    return `F${fd.toString(16)}`;
  },
  pread: (c, args) => {
    const [fd = '', length = '', offset = ''] = args.split(',');
    const content = c.files.get(number(fd));
    if (!content) return failed(EBADF);
    const from = number(offset);
    const part = content.subarray(from, from + Math.min(number(length), MAX_PIECE));
    return `F${part.length.toString(16)};${Buffer.from(part).toString('latin1')}`;
  },
  fstat: (c, args) => {
    const content = c.files.get(number(args));
    if (!content) return failed(EBADF);
    const stat = fileStatus(content.length);
    return `F${stat.length.toString(16)};${Buffer.from(stat).toString('latin1')}`;
  },
  close: (c, args) => (c.files.delete(number(args)) ? 'F0' : failed(EBADF)),
  unlink: () => failed(ENOENT),
  readlink: () => failed(ENOENT),
};

function failed(errno: number): string {
  return `F-1,${errno.toString(16)}`;
}

/**
 * `struct stat` of the protocol, big-endian, 64 bytes:
 *
 *     0: dev ino mode nlink uid gid rdev (u32 each)   28: size (u64)   36: blksize blocks (u64)   52: atime mtime ctime (u32)
 */
function fileStatus(size: number): Uint8Array {
  const stat = new Uint8Array(64);
  const view = new DataView(stat.buffer);
  view.setUint32(8, 0o100444);
  view.setUint32(12, 1);
  view.setBigUint64(28, BigInt(size));
  view.setBigUint64(36, 4096n);
  view.setBigUint64(44, BigInt(Math.ceil(size / 512)));
  return stat;
}

/** `FUNCTION:ARGUMENTS` of vFile. */
export function fileRequest(c: Conversation, args: string): string {
  const [, name = '', rest = ''] = /^(\w+):(.*)$/s.exec(args) ?? [];
  return Object.hasOwn(FILES, name) ? FILES[name]!(c, rest) : '';
}
