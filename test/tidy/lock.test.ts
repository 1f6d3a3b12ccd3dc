import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (name: string) => JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8'));

interface Locked {
  readonly version?: string;
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}
const packages: Record<string, Locked> = read('package-lock.json').packages;

test('the lock file is of this package.json', () => {
  const { dependencies, devDependencies } = read('package.json');
  expect(packages['']?.dependencies).toEqual(dependencies);
  expect(packages['']?.devDependencies).toEqual(devDependencies);
});

/**
 * `npm ci` refuses a lock file that leaves out a package for another platform, and `npm install` writes such a file
 * when the registry at hand does not have that package.
 */
test('the lock file names the packages of every platform', () => {
  const names = new Set(Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 13)));
  const missing = Object.values(packages).flatMap((entry) =>
    Object.keys(entry.optionalDependencies ?? {}).filter((name) => !names.has(name)),
  );
  expect(missing, 'restore their entries from the last good package-lock.json').toEqual([]);
});
