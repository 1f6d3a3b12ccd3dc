import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseScript } from '../../src/host/script.ts';
import { createdConfigs, readScript, ScriptSet } from '../../src/host/script-set.ts';

const folder = mkdtempSync(join(tmpdir(), 'rexen-scripts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const bytes = (text: string) => new TextEncoder().encode(text);
const set = (...texts: [string, string][]) =>
  new ScriptSet(
    texts.map(([domain, text]) => ({ domain, script: parseScript(text, domain) })),
    ['a', 'b'],
  );

describe('ScriptSet', () => {
  it('runs scripts side by side, each at its own console', () => {
    const scripts = set(['a', 'expect "x"\nsend "1"'], ['b', 'expect "x"\nsend "2"\nexpect "y"\nsend "3"']);
    expect(scripts.next(0)).toEqual({ do: 'expect' });
    scripts.onOutput('b', bytes('x'));
    expect(scripts.next(1)).toEqual({ do: 'send', domain: 'b', bytes: bytes('2') });
    expect(scripts.next(1)).toEqual({ do: 'expect' });
    expect(scripts.unmet).toContain('a:1: expect "x" was not met; the console of a');
    scripts.onOutput('a', bytes('x'));
    scripts.onOutput('b', bytes('y'));
    expect(scripts.next(2)).toMatchObject({ do: 'send', domain: 'a' });
    expect(scripts.next(2)).toMatchObject({ do: 'send', domain: 'b', bytes: bytes('3') });
    expect(scripts.next(2)).toEqual({ do: 'end', explicit: false });
  });

  it('waits until the first of them goes on, also where the machine has nothing to do', () => {
    const scripts = set(['a', 'wait 100\nsend "a"\nwait 1'], ['b', 'wait 50\nxl pause a\nexpect "never"']);
    expect(scripts.next(0)).toEqual({ do: 'wait', until: 50 });
    expect(scripts.skipWait()).toBe(true);
    expect(scripts.next(10)).toMatchObject({ do: 'xl', command: { text: 'pause a', changes: true } });
    expect(scripts.next(10)).toEqual({ do: 'wait', until: 100 });
    expect(scripts.next(100)).toMatchObject({ do: 'send', domain: 'a' });
    scripts.next(100);
    expect(scripts.next(101)).toEqual({ do: 'expect' });
    expect(scripts.skipWait()).toBe(false);
  });

  it('ends when one of them says so', () => {
    expect(set(['a', 'expect "never"'], ['b', 'end']).next(0)).toEqual({ do: 'end', explicit: true });
  });
});

it('reads FILE and DOMAIN=FILE, and a path with an equals sign', () => {
  const path = join(folder, 'a=b');
  writeFileSync(path, 'end\n');
  expect(readScript(path, ['a'])).toMatchObject({ domain: undefined, script: { file: path } });
  expect(readScript(`web=${path}`, ['web'])).toMatchObject({ domain: 'web', script: { file: path } });
  expect(() => readScript('web=nowhere', ['db'])).toThrow('cannot read script web=nowhere');
});

it('finds what scripts create', () => {
  const script = parseScript('xl create db.cfg\nxl create -p other.cfg  # later\nxl create db.cfg\nxl list', 's');
  expect(createdConfigs([script])).toEqual(['db.cfg', 'other.cfg']);
});

it.each([
  ['xl explode a', 's:1: unknown command "explode"; there are list'],
  ['xl', 's:1: unknown command ""'],
  ['xl pause', 's:1: write: xl pause DOMAIN'],
  ['xl pause a b', 's:1: write: xl pause DOMAIN'],
  ['xl shutdown -w a', 's:1: write: xl shutdown DOMAIN'],
  ['xl create -p', 's:1: write: xl create [-p] CONFIG'],
  ['xl create a -p', 's:1: write: xl create [-p] CONFIG'],
])('refuses %j before anything runs', (text, message) => {
  expect(() => parseScript(text, 's')).toThrow(message);
});
