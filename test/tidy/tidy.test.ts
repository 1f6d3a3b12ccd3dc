import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkBans, checkCycles, checkImports, checkLength, MAX_LINES } from './rules.ts';
import { readSources, sourceFile } from './source.ts';

const root = new URL('../..', import.meta.url).pathname;
const packages = Object.keys(JSON.parse(readFileSync(`${root}package.json`, 'utf8')).dependencies);
const sources = readSources(root, ['src', 'replay', 'perf', 'test']);

describe('our own sources', () => {
  test('there are some', () => {
    expect(sources.map((file) => file.path)).toContain('test/tidy/rules.ts');
  });
  test('imports point one way', () => {
    expect(sources.flatMap((file) => checkImports(file, packages))).toEqual([]);
  });
  test('no host time, randomness or outside world where ticks rule', () => {
    expect(sources.flatMap(checkBans)).toEqual([]);
  });
  test('no long files', () => {
    expect(sources.flatMap(checkLength)).toEqual([]);
  });
  test('no import cycles', () => {
    expect(checkCycles(sources)).toEqual([]);
  });
});

describe('the rules catch a bad file', () => {
  const imports = (path: string, text: string) => checkImports(sourceFile(path, text), ['rxjs']);
  const bans = (path: string, text: string) => checkBans(sourceFile(path, text));

  test.each([
    ['src/base/bad.ts', `import { x } from '../cpu/layout.ts';`],
    ['src/wasm/bad.ts', `import type { X } from '../isa/table.ts';`],
    ['src/cpu/engine/bad.ts', `export { x } from '../../hypervisor/domain.ts';`],
    ['src/memory/bad.ts', `import * as E from '../cpu/decoder.ts';`],
    ['src/devices/bad.ts', `const x = await import('../machine/bus.ts');`],
    ['src/hypervisor/bad.ts', `import '../host/files.ts';`],
    ['src/host/bad.ts', `import { seek } from '../../replay/session.ts';`],
    ['src/host/bad.ts', `import { run } from '../commands/record.ts';`],
    ['src/log/bad.ts', `import {\n  a,\n  b,\n} from '../../perf/counters.ts';`],
    ['replay/bad.ts', `import { a } from '../perf/counters.ts';`],
    ['src/newfolder/bad.ts', `export const a = 1;`],
    ['src/cpu/bad.ts', `import { x } from './layout';`],
    ['src/cpu/bad.ts', `import _ from 'lodash';`],
  ])('import rule: %s', (path, text) => {
    const findings = imports(path, text);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toContain(path);
  });

  test('import rule lets good files pass', () => {
    expect(
      imports('src/cpu/engine/a.ts', `import { b } from '../../base/bits.ts';\nimport { c } from '../layout.ts';`),
    ).toEqual([]);
    expect(imports('src/log/streams.ts', `import { Observable } from 'rxjs';`)).toEqual([]);
    expect(imports('replay/session.ts', `import { m } from '../src/machine/board.ts';`)).toEqual([]);
    expect(imports('src/commands/replay.ts', `import { s } from '../../replay/session.ts';`)).toEqual([]);
    expect(
      imports('src/base/a.ts', `// import { x } from '../cpu/layout.ts';\nexport const a = "from '../cpu/x.ts'";`),
    ).toEqual([]);
  });

  test.each([
    ['src/cpu/bad.ts', 'const t = Date.now();'],
    ['src/machine/bad.ts', 'const t = new Date();'],
    ['src/devices/bad.ts', 'const t = performance.now();'],
    ['src/toolstack/bad.ts', 'const r = Math.random();'],
    ['src/hypervisor/bad.ts', 'setTimeout(() => {}, 1);'],
    ['src/log/bad.ts', `import { readFileSync } from 'node:fs';`],
    ['src/debug/bad.ts', `import { createServer } from 'node:net';`],
    ['src/commands/bad.ts', `import { readFileSync } from 'node:fs';`],
    ['replay/bad.ts', 'const u = crypto.randomUUID();'],
    ['src/log/bad.ts', `import { interval } from 'rxjs';`],
    ['src/snapshot/bad.ts', 'const r = new WeakRef(a);'],
    ['src/cpu/bad.ts', 'const y = Math.sin(x);'],
    ['src/cpu/bad.ts', 'const y = `at ${Date.now()}`;'],
    ['src/memory/bad.ts', 'const v = process.env.X;'],
  ])('ban: %s: %s', (path, text) => {
    const findings = bans(path, text);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toContain(path);
    expect(findings[0]).toContain('instead: ');
  });

  test('bans let good files pass', () => {
    expect(bans('src/host/clock.ts', 'export const now = () => Date.now();')).toEqual([]);
    expect(bans('src/cpu/a.ts', '// Date.now is banned\nconst s = "Math.random()";\nconst r = /setTimeout(/;')).toEqual(
      [],
    );
    expect(bans('src/log/codec.ts', `import { zstdCompressSync } from 'node:zlib';`)).toEqual([]);
  });

  test('line numbers are right', () => {
    expect(bans('src/cpu/bad.ts', '/* a\n b */\n\nconst t = Date.now();')[0]).toContain('src/cpu/bad.ts:4:');
  });

  test('length', () => {
    expect(checkLength(sourceFile('src/cpu/long.ts', 'x;\n'.repeat(MAX_LINES + 1)))).toHaveLength(1);
    expect(checkLength(sourceFile('src/cpu/fits.ts', 'x;\n'.repeat(MAX_LINES)))).toEqual([]);
    expect(checkLength(sourceFile('src/isa/tables/opcodes.ts', 'x;\n'.repeat(9000)))).toEqual([]);
  });

  test('cycles, types apart', () => {
    const a = sourceFile('src/cpu/a.ts', `import { b } from './b.ts';`);
    const b = sourceFile('src/cpu/b.ts', `import { a } from './a.ts';`);
    const typed = sourceFile('src/cpu/b.ts', `import type { a } from './a.ts';\nimport { type c } from './a.ts';`);
    expect(checkCycles([a, b])[0]).toContain('src/cpu/a.ts -> src/cpu/b.ts -> src/cpu/a.ts');
    expect(checkCycles([a, typed])).toEqual([]);
  });
});
