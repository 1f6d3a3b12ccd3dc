/**
 * Guests worth measuring, each a session's configuration and its images. A workload is prepared once and run as often
 * as wanted: what it does depends on nothing else.
 */
import { basename } from 'node:path';
import { readImage } from '../../src/host/images.ts';
import { sha256Of } from '../../src/host/files.ts';
import type { ImageEntry } from '../../src/log/recording.ts';
import { type SessionConfig, type SessionDomain, sessionConfig } from '../../src/session.ts';
import type { Image } from '../../src/toolstack/builder/image.ts';
import { parseDomainConfig } from '../../src/toolstack/xl/config.ts';

export interface Workload {
  readonly name: string;
  readonly config: SessionConfig;
  /** By SHA-256, as a session wants them. */
  readonly images: ReadonlyMap<string, Image>;
  /** The same for a recording's header; none is embedded, so that a log's bytes are those of its events. */
  readonly entries: readonly ImageEntry[];
  /** Guest memory of all domains, MiB. */
  readonly memoryMiB: number;
  /** Text on the console that ends a phase, by the phase's name, in the order they come. */
  readonly marks: Readonly<Record<string, string>>;
}

/** A workload of one domain. */
export interface WorkloadSpec {
  readonly name: string;
  /** Path of the kernel. */
  readonly kernel: string;
  readonly cmdline: string;
  readonly memoryMiB: number;
  readonly vcpus?: number;
  readonly ramdisk?: Uint8Array;
  readonly marks?: Readonly<Record<string, string>>;
}

/** Reads the kernel and puts the session together. @throws Error if the kernel cannot be read */
export function makeWorkload(spec: WorkloadSpec): Workload {
  const { name, kernel, cmdline, memoryMiB, vcpus = 1, ramdisk, marks = {} } = spec;
  const images = new Map<string, Image>();
  const entries: ImageEntry[] = [];
  const add = (imageName: string, bytes: Uint8Array): string => {
    const sha256 = sha256Of(bytes);
    images.set(sha256, { name: imageName, bytes });
    entries.push({ name: imageName, path: imageName, size: bytes.length, sha256 });
    return sha256;
  };
  const text = `name = "${name}"\ntype = "pvh"\nkernel = "k"\nmemory = ${memoryMiB}\nvcpus = ${vcpus}\nextra = "${cmdline}"\n`;
  const domain: SessionDomain = {
    config: parseDomainConfig(text, `${name}.cfg`).config,
    kernel: add(basename(kernel), readImage(kernel, 'kernel')),
    ...(ramdisk ? { ramdisk: add('initramfs', ramdisk) } : {}),
  };
  return { name, config: sessionConfig([domain]), images, entries, memoryMiB, marks };
}

/** Why something cannot be measured here, for people. */
export class Unavailable extends Error {}
