import { describe, expect, test } from 'vitest';
import { world } from './raw-client.ts';

type Who = 'zero' | 'one' | 'two';
type Step = readonly [who: Who, op: string, payload: string, reply: string];

/** Runs steps in a fresh world and compares every reply. */
function run(steps: readonly Step[]) {
  const w = world();
  for (const [i, [who, op, payload, reply]] of steps.entries())
    expect([i, who, op, w[who].ask(op, payload)]).toEqual([i, who, op, reply]);
  expect(w.daemon.store.check()).toBeUndefined();
  return w;
}

const long = (n: number) => 'x'.repeat(n);

describe('xenstore operations', () => {
  test.each<[string, Step[]]>([
    [
      'write makes parents; values are octets',
      [
        ['zero', 'WRITE', '/a/b/c|x|y', 'OK|'],
        ['zero', 'READ', '/a/b/c|', 'x|y'],
        ['zero', 'READ', '/a/b|', ''],
        ['zero', 'DIRECTORY', '/a|', 'b|'],
      ],
    ],
    [
      'the tree at the start',
      [
        ['zero', 'DIRECTORY', '/|', 'tool|local|'],
        ['zero', 'DIRECTORY', '/tool|', 'xenstored|'],
      ],
    ],
    [
      'children are listed in the order they came',
      [
        ['zero', 'MKDIR', '/z/b|', 'OK|'],
        ['zero', 'MKDIR', '/z/a|', 'OK|'],
        ['zero', 'DIRECTORY', '/z|', 'b|a|'],
      ],
    ],
    [
      'mkdir leaves a value alone',
      [
        ['zero', 'WRITE', '/v|1', 'OK|'],
        ['zero', 'MKDIR', '/v|', 'OK|'],
        ['zero', 'READ', '/v|', '1'],
      ],
    ],
    [
      'rm',
      [
        ['zero', 'WRITE', '/r/s/t|1', 'OK|'],
        ['zero', 'RM', '/r|', 'OK|'],
        ['zero', 'READ', '/r/s/t|', '!ENOENT'],
        ['zero', 'RM', '/r|', 'OK|'],
        ['zero', 'RM', '/r/s|', '!ENOENT'],
        ['zero', 'RM', '/|', '!EINVAL'],
      ],
    ],
    [
      'missing nodes',
      [
        ['zero', 'READ', '/none|', '!ENOENT'],
        ['zero', 'DIRECTORY', '/none|', '!ENOENT'],
        ['zero', 'GET_PERMS', '/none|', '!ENOENT'],
        ['zero', 'SET_PERMS', '/none|n0|', '!ENOENT'],
      ],
    ],
    [
      'path rules',
      [
        ['zero', 'READ', '/a//b|', '!EINVAL'],
        ['zero', 'READ', '/a/|', '!EINVAL'],
        ['zero', 'READ', '|', '!EINVAL'],
        ['zero', 'READ', '', '!EINVAL'],
        ['zero', 'READ', '/a', '!EINVAL'],
        ['zero', 'READ', '/a|b|', '!EINVAL'],
        ['zero', 'WRITE', '/a b|x', '!EINVAL'],
        ['zero', 'WRITE', '/a.b|x', '!EINVAL'],
        ['zero', 'WRITE', '/A-Z_09@x|x', 'OK|'],
        ['zero', 'MKDIR', `/${long(2047)}|`, 'OK|'],
        ['zero', 'MKDIR', `/${long(2048)}|`, '!EINVAL'],
        ['one', 'WRITE', `data/${long(2043)}|`, '!ENOSPC'],
        ['one', 'WRITE', `data/${long(2044)}|`, '!EINVAL'],
      ],
    ],
    [
      'relative paths are the domain’s own',
      [
        ['one', 'WRITE', 'data/x|1', 'OK|'],
        ['zero', 'READ', '/local/domain/1/data/x|', '1'],
        ['one', 'READ', 'data/x|', '1'],
        ['two', 'READ', 'data/x|', '!ENOENT'],
      ],
    ],
    [
      'access: guests see nothing that is not theirs',
      [
        ['zero', 'WRITE', '/secret/x|1', 'OK|'],
        ['one', 'READ', '/secret/x|', '!EACCES'],
        ['one', 'READ', '/secret/none|', '!EACCES'],
        ['one', 'DIRECTORY', '/|', '!EACCES'],
        ['one', 'WRITE', '/local/domain/2/data/x|1', '!EACCES'],
        ['one', 'READ', '/local/domain/2/data|', '!EACCES'],
        ['one', 'WRITE', 'name|evil', '!EACCES'],
        ['one', 'READ', 'none|', '!ENOENT'],
        ['one', 'RM', '/local/domain/1|', '!EACCES'],
      ],
    ],
    [
      'a node’s own permission counts, not its parents’',
      [
        ['zero', 'WRITE', '/secret/open|1', 'OK|'],
        ['zero', 'SET_PERMS', '/secret/open|n0|r1|', 'OK|'],
        ['one', 'READ', '/secret/open|', '1'],
        ['one', 'WRITE', '/secret/open|2', '!EACCES'],
        ['two', 'READ', '/secret/open|', '!EACCES'],
      ],
    ],
    [
      'permission letters',
      [
        ['zero', 'WRITE', '/p|1', 'OK|'],
        ['zero', 'SET_PERMS', '/p|b0|n1|w2|', 'OK|'],
        ['zero', 'GET_PERMS', '/p|', 'b0|n1|w2|'],
        ['one', 'READ', '/p|', '!EACCES'],
        ['two', 'READ', '/p|', '!EACCES'],
        ['two', 'WRITE', '/p|2', 'OK|'],
        ['zero', 'SET_PERMS', '/p|x0|', '!EINVAL'],
        ['zero', 'SET_PERMS', '/p|n|', '!EINVAL'],
        ['zero', 'SET_PERMS', '/p|n99999|', '!EINVAL'],
        ['zero', 'SET_PERMS', '/p|', '!EINVAL'],
      ],
    ],
    [
      'new nodes inherit, and a guest owns what it makes',
      [
        ['zero', 'SET_PERMS', '/local/domain/1/data|n1|r2|', 'OK|'],
        ['one', 'WRITE', 'data/x|1', 'OK|'],
        ['one', 'GET_PERMS', 'data/x|', 'n1|r2|'],
        ['two', 'READ', '/local/domain/1/data/x|', '1'],
        ['zero', 'WRITE', '/local/domain/1/data/y|1', 'OK|'],
        ['zero', 'GET_PERMS', '/local/domain/1/data/y|', 'n1|r2|'],
        ['zero', 'SET_PERMS', '/local/domain/1/data|n1|b2|', 'OK|'],
        ['two', 'WRITE', '/local/domain/1/data/z|1', 'OK|'],
        ['two', 'GET_PERMS', '/local/domain/1/data/z|', 'n2|b2|'],
      ],
    ],
    [
      'only the owner sets permissions, and keeps itself owner',
      [
        ['one', 'WRITE', 'data/x|1', 'OK|'],
        ['one', 'SET_PERMS', 'data/x|r1|b2|', 'OK|'],
        ['two', 'SET_PERMS', '/local/domain/1/data/x|n2|', '!EACCES'],
        ['one', 'SET_PERMS', 'data/x|n2|', '!EPERM'],
        ['one', 'SET_PERMS', '/local/domain/1|n1|', '!EACCES'],
        ['one', 'SET_PERMS', 'data/x|n1|r2|r3|r4|r5|r6|', '!ENOSPC'],
        ['zero', 'SET_PERMS', '/local/domain/1/data/x|n2|', 'OK|'],
        ['one', 'READ', 'data/x|', '!EACCES'],
      ],
    ],
    [
      'requests of Domain 0 only',
      [
        ['one', 'INTRODUCE', '3|1|1|', '!EACCES'],
        ['one', 'RELEASE', '1|', '!EACCES'],
        ['one', 'IS_DOMAIN_INTRODUCED', '1|', '!EACCES'],
        ['one', 'RESUME', '1|', '!EACCES'],
        ['one', 'SET_TARGET', '1|2|', '!EACCES'],
        ['one', 'CONTROL', 'help|', '!EACCES'],
        ['zero', 'CONTROL', 'help|', 'check|help|quota|'],
        ['zero', 'CONTROL', 'check|', 'OK|'],
        ['zero', 'CONTROL', 'selfdestruct|', '!EINVAL'],
        ['zero', 'SET_TARGET', '1|9|', '!ENOENT'],
      ],
    ],
    [
      'set_target lets a domain act for another',
      [
        ['two', 'WRITE', 'data/x|1', 'OK|'],
        ['one', 'READ', '/local/domain/2/data/x|', '!EACCES'],
        ['zero', 'SET_TARGET', '1|2|', 'OK|'],
        ['one', 'READ', '/local/domain/2/data/x|', '1'],
        ['one', 'WRITE', '/local/domain/2/data/x|2', 'OK|'],
        ['two', 'READ', '/local/domain/1|', '!EACCES'],
      ],
    ],
    [
      'domain paths',
      [
        ['one', 'GET_DOMAIN_PATH', '12|', '/local/domain/12|'],
        ['one', 'GET_DOMAIN_PATH', '12', '!EINVAL'],
      ],
    ],
    [
      'unknown requests',
      [
        ['one', '15', 'a|', '!ENOSYS'],
        ['one', '16', 'EINVAL|', '!ENOSYS'],
        ['one', '20', '1|', '!ENOSYS'],
        ['one', '23', '|', '!ENOSYS'],
        ['one', '65535', '|', '!ENOSYS'],
        ['one', '4294967295', '', '!ENOSYS'],
      ],
    ],
  ])('%s', (_, steps) => {
    run(steps);
  });
});

describe('quotas', () => {
  test('1000 nodes a guest, and removing gives room again', () => {
    const { one, daemon } = run([]);
    const left = 1000 - daemon.store.owned(1) - 7;
    for (let i = 0; i < left; i++) expect(one.ask('WRITE', `data/d${i % 7}/n${i}|1`)).toBe('OK|');
    expect(daemon.store.owned(1)).toBe(1000);
    expect(one.ask('WRITE', 'data/one-more|1')).toBe('!ENOSPC');
    expect(one.ask('WRITE', 'data/q/w/e/r/t|1')).toBe('!ENOSPC');
    expect(one.ask('RM', 'data/d1|')).toBe('OK|');
    expect(one.ask('WRITE', 'data/q/w/e/r/t|1')).toBe('OK|');
    expect(daemon.store.check()).toBeUndefined();
  });
  test('2048 bytes a node, for guests only', () => {
    const { one, zero } = run([]);
    expect(one.ask('WRITE', `data/x|${long(2048 - 24 - 8 - 1)}`)).toBe('OK|');
    expect(one.ask('WRITE', `data/x|${long(2048 - 24 - 8)}`)).toBe('!ENOSPC');
    expect(zero.ask('WRITE', `/x|${long(4000)}`)).toBe('OK|');
  });
  test('a refused path leaves nothing behind', () => {
    const { one, daemon } = run([]);
    expect(one.ask('WRITE', `data/a/b/c|${long(2040)}`)).toBe('!ENOSPC');
    expect(one.ask('READ', 'data/a|')).toBe('!ENOENT');
    expect(daemon.store.check()).toBeUndefined();
  });
  test('128 watches and 10 transactions more or less, as xenstored counts', () => {
    const { one } = run([]);
    for (let i = 0; i <= 128; i++) expect(one.ask('WATCH', `data|t${i}|`)).toBe('OK|');
    expect(one.ask('WATCH', 'data|more|')).toBe('!E2BIG');
    for (let i = 0; i <= 10; i++) expect(one.ask('TRANSACTION_START', '|')).toBe(`${i + 1}|`);
    expect(one.ask('TRANSACTION_START', '|')).toBe('!ENOSPC');
  });
});

describe('directory_part', () => {
  test('lists of any length come in parts', () => {
    const { zero } = run([]);
    const names = Array.from({ length: 700 }, (_, i) => `name-of-a-child-${i}`);
    for (const n of names) zero.ask('MKDIR', `/big/${n}|`);
    expect(zero.ask('DIRECTORY', '/big|')).toBe('!E2BIG');
    let list = '';
    for (let round = 0; round < 10; round++) {
      const [generation, ...parts] = zero.ask('DIRECTORY_PART', `/big|${list.length}|`).split('|');
      expect(generation).toMatch(/^\d+$/);
      const text = parts.join('|');
      if (text.endsWith('||')) {
        list += text.slice(0, -1);
        break;
      }
      list += text;
    }
    expect(list.split('|').slice(0, -1)).toEqual(names);
    expect(zero.ask('DIRECTORY_PART', '/big|999999|')).toMatch(/^\d+\|\|$/);
    expect(zero.ask('DIRECTORY_PART', '/big|')).toBe('!EINVAL');
  });
});
