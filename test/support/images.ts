/**
 * Finding the images that tests boot and the references they compare with. Debian's images are not in the repository
 * (`npm run guests` fetches them), so a test that needs one skips with a visible reason where it is absent; with
 * REXEN_REQUIRE_GUESTS=1 (continuous integration) it fails instead.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'vitest';

export const projectRoot: string = new URL('../..', import.meta.url).pathname;

/** Our own small guests, built, beside their sources. */
export const smallGuests: string = join(projectRoot, 'test/guests');

/** Debian's packages, unpacked by `npm run guests`. */
export const debianGuests: string = join(projectRoot, 'guests/debian');

/** Reference material beside the checkout; override with REXEN_SHARED. */
export const sharedFolder: string = process.env.REXEN_SHARED ?? join(projectRoot, '../shared');

export interface Image {
  readonly name: string;
  /** Absolute path, or undefined if it is not there. */
  readonly path: string | undefined;
  /** Said in the test's name when it skips. */
  readonly reason: string;
}

/** A built small guest, such as `hello`; these are in the repository, so absence is a bug and throws. */
export function smallGuest(name: string): string {
  const path = join(smallGuests, `${name}.elf`);
  if (!existsSync(path)) throw new Error(`${path} is missing; build it with: npm run build:guests`);
  return path;
}

/**
 * A file from Debian's packages by its path inside them. The last part may hold one `*`, for names with a version:
 * `debianImage('boot/vmlinuz-*-cloud-amd64')`; it stands for digits, dots and dashes. If several match, the last in
 * name order wins.
 */
export function debianImage(inside: string): Image {
  return { name: inside, path: match(debianGuests, inside), reason: `needs ${inside} of Debian: run "npm run guests"` };
}

/** A file below the shared folder, such as `x86-vectors/alu.jsonl.gz`. */
export function sharedFile(inside: string): Image {
  return { name: inside, path: match(sharedFolder, inside), reason: `needs ${inside} in ${sharedFolder}` };
}

function match(folder: string, inside: string): string | undefined {
  const star = inside.indexOf('*');
  if (star < 0) return existsSync(join(folder, inside)) ? join(folder, inside) : undefined;
  const slash = inside.lastIndexOf('/', star);
  const within = join(folder, inside.slice(0, slash + 1));
  const before = inside.slice(slash + 1, star);
  const after = inside.slice(star + 1);
  if (!existsSync(within)) return undefined;
  const fits = (name: string) =>
    name.startsWith(before) &&
    name.endsWith(after) &&
    /^[\d.-]+$/.test(name.slice(before.length, name.length - after.length));
  const name = readdirSync(within).filter(fits).sort().at(-1);
  return name === undefined ? undefined : join(within, name);
}

/** True where absent images must fail a test instead of skipping it. */
export const guestsRequired: boolean = process.env.REXEN_REQUIRE_GUESTS === '1';

/**
 * A test that needs images. It runs with their paths; with one absent it skips and its name says why, or fails if
 * guests are required.
 */
export function testWithImages(
  name: string,
  images: readonly Image[],
  body: (...paths: string[]) => void | Promise<void>,
  timeoutMs?: number,
): void {
  const absent = images.find((image) => image.path === undefined);
  if (absent === undefined) test(name, () => body(...images.map((image) => image.path!)), timeoutMs);
  else if (guestsRequired)
    test(name, () => {
      throw new Error(absent.reason);
    });
  else test.skip(`${name} (skipped: ${absent.reason})`, () => {});
}

/** A describe block that needs images, with the same rule as `testWithImages`. */
export function describeWithImages(name: string, images: readonly Image[], body: (...paths: string[]) => void): void {
  const absent = images.find((image) => image.path === undefined);
  if (absent === undefined) describe(name, () => body(...images.map((image) => image.path!)));
  else testWithImages(name, images, () => {});
}

/** For needs that are no file: `testIf(hasKvm, 'needs /dev/kvm', 'name', body)`. */
export function testIf(
  condition: boolean,
  reason: string,
  name: string,
  body: () => void | Promise<void>,
  timeoutMs?: number,
): void {
  if (condition) test(name, body, timeoutMs);
  else test.skip(`${name} (skipped: ${reason})`, () => {});
}
