/** A file of an initramfs. `mode` holds type and permissions as stat(2) has them. */
export interface CpioEntry {
  /** Without a leading slash. */
  readonly path: string;
  readonly mode: number;
  /** Contents of a file, target of a link; nothing for others. */
  readonly data?: Uint8Array;
  /** Of a device node. */
  readonly device?: readonly [major: number, minor: number];
}

/** Types in `mode`: S_IFMT of stat(2). */
export const FileType = { DIRECTORY: 0o040000, FILE: 0o100000, LINK: 0o120000, CHARACTER: 0o020000 } as const;

/**
 * An initramfs: cpio's "new ASCII" format without checksums (Linux, Documentation/driver-api/early-userspace/
 * buffer-format.rst). Each entry is a header of "070701" and 13 fields of 8 hex digits, the name with a zero, the data;
 * header with name and data are each padded to 4 bytes. Directories above an entry must come before it.
 * Times and owners are 0, so that the same files give the same bytes.
 */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  const parts = entries.map((entry, i) => record(entry, i + 1));
  parts.push(record({ path: 'TRAILER!!!', mode: 0 }, 0));
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function record({ path, mode, data = new Uint8Array(0), device = [0, 0] }: CpioEntry, inode: number): Uint8Array {
  const name = new TextEncoder().encode(`${path}\0`);
  const links = (mode & 0o170000) === FileType.DIRECTORY ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, device[0], device[1], name.length, 0];
  const header = `070701${fields.map((f) => f.toString(16).toUpperCase().padStart(8, '0')).join('')}`;
  const dataAt = Math.ceil((header.length + name.length) / 4) * 4;
  const bytes = new Uint8Array(dataAt + Math.ceil(data.length / 4) * 4);
  bytes.set(new TextEncoder().encode(header));
  bytes.set(name, header.length);
  bytes.set(data, dataAt);
  return bytes;
}
