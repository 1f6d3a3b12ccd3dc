/** `--commit`: what a session wrote to its disks goes into their files, and the recording can still be replayed. */
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  ftruncateSync,
  openSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Disk } from '../backends/blkif/disk.ts';
import type { Session, SessionConfig } from '../session.ts';
import { reason } from './files.ts';

/** Where a replay finds the content that a disk began with. */
function keptPath(image: string, recording: string): string {
  return resolve(join(dirname(recording), basename(image)));
}

/** Before a session begins. @throws Error for people if its disks could not be committed at its end */
export function checkCommit({ domains }: SessionConfig, recording: string): void {
  for (const { config } of domains)
    for (const { target, format, readOnly } of config.disks) {
      if (readOnly) continue;
      if (format === 'qcow2')
        throw new Error(`--commit writes raw disks only; convert it: qemu-img convert -O raw ${target} NEW.img`);
      if (existsSync(keptPath(target, recording)))
        throw new Error(
          `--commit keeps the first content of ${target} beside the recording, and ${keptPath(target, recording)} is there already; put the recording into another folder`,
        );
    }
}

/**
 * Keeps the first contents of all disks that changed beside the recording, then writes the new ones.
 * @returns the files written
 * @throws Error for people; a file is either as it was or wholly new
 */
export function commitDisks(session: Session, recording: string): string[] {
  const written: string[] = [];
  for (const [name, disk] of session.toolstack.devices.changedDisks()) {
    const target = targetOf(session.config, name);
    const fresh = `${target}.rexen-new`;
    try {
      copyFileSync(target, keptPath(target, recording), constants.COPYFILE_EXCL);
      writeDisk(fresh, disk);
      renameSync(fresh, target);
    } catch (error) {
      throw new Error(`cannot commit ${name} to ${target}: ${reason(error)}`);
    }
    written.push(target);
  }
  return written;
}

const CHUNK_BYTES = 1 << 20;

/** The disk as it is now, as a new file with holes where it is empty. */
function writeDisk(path: string, disk: Disk): void {
  const fd = openSync(path, 'w');
  try {
    ftruncateSync(fd, disk.base.length);
    const chunk = new Uint8Array(CHUNK_BYTES);
    for (let at = 0; at < disk.base.length; at += CHUNK_BYTES) {
      const part = chunk.subarray(0, Math.min(CHUNK_BYTES, disk.base.length - at));
      disk.readBytes(at, part);
      if (part.every((byte) => byte === 0)) continue;
      for (let done = 0; done < part.length; ) done += writeSync(fd, part, done, part.length - done, at + done);
    }
  } finally {
    closeSync(fd);
  }
}

/** File of a disk that the toolstack calls `domain/vdev`. */
function targetOf({ domains }: SessionConfig, name: string): string {
  for (const { config } of domains)
    for (const { vdev, target } of config.disks) if (`${config.name}/${vdev}` === name) return target;
  throw new Error(`the session has no disk ${name}`);
}
