import { expect, test } from 'vitest';
import { sessionConfig } from '../src/session.ts';
import { parseDomainConfig } from '../src/toolstack/xl/config.ts';

const domain = (name: string, memory: number) => ({
  config: parseDomainConfig(`name = "${name}"\ntype = "pvh"\nkernel = "k"\nmemory = ${memory}`, 'c').config,
  kernel: 'k',
});

test('a machine is made that the domains fit into, with what Xen needs beside them', () => {
  expect(sessionConfig([domain('a', 64), domain('b', 32)]).machine.memory_mib).toBe(108);
});

test('domains that fit into no machine are refused with what they need and what to do', () => {
  const large = ['a', 'b', 'c', 'd'].map((name) => domain(name, 1024));
  expect(() => sessionConfig(large)).toThrow(/the domains need 4116 MiB .* at most 3072: lower memory or maxmem/);
  // A smaller machine may be asked for: not all domains need be there at once.
  expect(sessionConfig(large, { memory_mib: 2048 }).machine.memory_mib).toBe(2048);
});
