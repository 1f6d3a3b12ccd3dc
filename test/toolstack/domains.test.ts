import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Control } from '../../src/hypervisor/control.ts';
import { Toolstack, ToolstackError } from '../../src/toolstack/domains.ts';
import type { Hypervisor, ShutdownReason } from '../../src/toolstack/hypervisor-interface.ts';
import { look, operate } from '../../src/toolstack/operator.ts';
import { ImageError } from '../../src/toolstack/builder/image.ts';
import { parseDomainConfig } from '../../src/toolstack/xl/config.ts';
import { sharedFile, testWithImages } from '../support/images.ts';
import { pvhKernel } from './builder/make-elf.ts';
import { P2mType } from '../../src/memory/p2m.ts';
import { FakeHypervisor } from './fake-hypervisor.ts';

function setup(mib = 64) {
  const hypervisor = new FakeHypervisor(mib);
  const events: string[] = [];
  const output: string[] = [];
  const toolstack = new Toolstack(hypervisor, {
    built: (d, c) => events.push(`built ${d.id} ${c.name}`),
    created: (id, name, was) => events.push(`created ${id} ${name}${was === undefined ? '' : ` for ${was}`}`),
    stopped: (id, _, reason, action) => events.push(`stopped ${id} ${reason} ${action}`),
    destroyed: (id) => events.push(`destroyed ${id}`),
    notRestarted: (name, why) => events.push(`not restarted ${name}: ${why}`),
    consoleOutput: (id, bytes) => output.push(`${id}:${new TextDecoder().decode(bytes)}`),
    storeOperation: () => {},
  });
  const create = (more = '', name = 'grubpvh') => {
    const text = `name = "${name}"\ntype = "pvh"\nkernel = "k"\nmemory = 8\n${more}`;
    return toolstack.create(parseDomainConfig(text, 'c').config, { kernel: { name: 'k', bytes: pvhKernel() } });
  };
  return { hypervisor, toolstack, events, output, create };
}

/** The tree as `xenstore-ls` prints it. */
function tree(toolstack: Toolstack, path: string, indent = ''): string[] {
  return toolstack.store
    .list(path || '/')
    .flatMap((name) => [
      `${indent}${name} = "${toolstack.store.read(`${path}/${name}`)}"`,
      ...tree(toolstack, `${path}/${name}`, `${indent} `),
    ]);
}

test('the hypervisor’s own control interface is what the toolstack asks for', () => {
  const fits: (control: Control) => Hypervisor = (control) => control;
  expect(fits).toBeTypeOf('function');
});

describe('xl create', () => {
  testWithImages(
    'leaves the tree that Xen 4.17 leaves, node for node',
    [sharedFile('reference/xen-4.17/grub-pvh-console-and-xenstore.txt')],
    (path) => {
      const lines = readFileSync(path, 'utf8').split('\n');
      const first = lines.findIndex((l) => l.includes('vm = "/vm/'));
      const end = lines.findIndex((l) => l.startsWith('+ xl destroy'));
      const reference = [lines[first]!.replace(/^grub> /, ''), ...lines.slice(first + 1, end)];
      const { toolstack, create } = setup();
      create('', 'a');
      create('', 'b');
      const id = create('uuid = "b66a0a2a-e662-11f1-9879-cba2ae97d62f"');
      // 8 MiB here, 128 there; their console has a pseudo-terminal of the host.
      const expected = reference.map((l) => l.replace('"131072"', '"8192"').replace('"/dev/pts/0"', '""'));
      expect(id).toBe(3);
      expect(tree(toolstack, '/local/domain/3')).toEqual(expected);
    },
  );
  test('permissions: read-only for the guest but for what is its own', () => {
    const { toolstack, create } = setup();
    create();
    const p = (path: string) => toolstack.store.permissions(path).join();
    const home = '/local/domain/1';
    expect(
      [
        '',
        '/vm',
        '/name',
        '/cpu/0',
        '/memory/target',
        '/device',
        '/control',
        '/store/port',
        '/console',
        '/console/port',
      ].map((x) => p(home + x)),
    ).toEqual(Array(10).fill('n0,r1'));
    expect(
      ['/data', '/drivers', '/control/shutdown', '/control/sysrq', '/device/suspend/event-channel'].map((x) =>
        p(home + x),
      ),
    ).toEqual(Array(5).fill('n1'));
    expect(p(`${home}/console/backend-id`)).toBe('n1,r0');
    expect(p('/local/domain/0/backend/console/1/0/state')).toBe('n0,r1');
    expect(p('/libxl/1/device')).toBe('n0');
    expect(tree(toolstack, '/libxl/1').map((l) => l.trim())).toContain('type = "pvh"');
  });
  test('vcpus beyond the first ones are offline', () => {
    const { toolstack, create } = setup();
    create('vcpus = 2\nmaxvcpus = 3');
    const cpus = [0, 1, 2].map((c) => toolstack.store.read(`/local/domain/1/cpu/${c}/availability`));
    expect(cpus).toEqual(['online', 'online', 'offline']);
  });
  test('the domain starts, knows its ports, and has rings that work', () => {
    const { hypervisor, create, output } = setup();
    create();
    const d = hypervisor.domain(1)!;
    expect(d.paused).toBe(false);
    expect(d.start).toEqual({ entry: 0x100000, startInfo: 0x101000 });
    expect([2, 18].map((i) => d.params.get(i))).toEqual([1n, 2n]);
    d.memory.write(0xfefff000 + 1024, new TextEncoder().encode('hello'));
    d.memory.writeU32(0xfefff000 + 3084, 5);
    hypervisor.signal(1, 2);
    expect(output).toEqual(['1:hello']);
    expect(hypervisor.notified).toContain('1:2');
    // READ "name" through the store's ring.
    d.memory.write(0xfeffc000, new Uint8Array(new Uint32Array([2, 0, 0, 5]).buffer));
    d.memory.write(0xfeffc000 + 16, new TextEncoder().encode('name\0'));
    d.memory.writeU32(0xfeffc000 + 2052, 21);
    hypervisor.signal(1, 1);
    expect(d.memory.readU32(0xfeffc000 + 1024 + 12)).toBe(7);
    expect(new TextDecoder().decode(d.memory.read(0xfeffc000 + 1024 + 16, 7))).toBe('grubpvh');
  });
  test.each<[string, string, unknown]>([
    ['type = "pv"', 'cannot be booted yet', ToolstackError],
    ['type = "hvm"', 'cannot be booted yet', ToolstackError],
  ])('refuses %s', (more, message, kind) => {
    const { create } = setup();
    expect(() => create(more)).toThrow(message);
    expect(() => create(more)).toThrow(kind as typeof Error);
  });
  test('a domain that cannot be built leaves nothing behind', () => {
    const { hypervisor, toolstack } = setup();
    const before = tree(toolstack, '');
    const free = hypervisor.machine.freeFrames;
    const config = parseDomainConfig('name = "x"\ntype = "pvh"\nkernel = "k"\nmemory = 8', 'c').config;
    expect(() => toolstack.create(config, { kernel: { name: 'k', bytes: new Uint8Array(9) } })).toThrow(ImageError);
    const large = parseDomainConfig('name = "x"\ntype = "pvh"\nkernel = "k"\nmemory = 128', 'c').config;
    expect(() => toolstack.create(large, { kernel: { name: 'k', bytes: pvhKernel() } })).toThrow(
      /machine memory is exhausted/,
    );
    expect(hypervisor.domains.size).toBe(0);
    expect(hypervisor.services.size).toBe(0);
    expect(hypervisor.machine.freeFrames).toBe(free);
    expect(tree(toolstack, '').filter((l) => !/vm = |libxl = |backend = /.test(l))).toEqual(
      before.filter((l) => !/vm = |libxl = |backend = /.test(l)),
    );
  });
  test('two domains of one name cannot be', () => {
    const { create } = setup();
    create();
    expect(() => create()).toThrow('a domain with the name or UUID of grubpvh is there already (id 1)');
  });
});

describe('life and death', () => {
  test.each<[ShutdownReason, string, string[], number[]]>([
    ['poweroff', '', ['stopped 1 poweroff destroy', 'destroyed 1'], []],
    ['reboot', '', ['stopped 1 reboot restart', 'destroyed 1', 'built 2 grubpvh', 'created 2 grubpvh for 1'], [2]],
    ['crash', '', ['stopped 1 crash destroy', 'destroyed 1'], []],
    ['crash', 'on_crash = "preserve"', ['stopped 1 crash preserve'], [1]],
    [
      'poweroff',
      'on_poweroff = "restart"',
      ['stopped 1 poweroff restart', 'destroyed 1', 'built 2 grubpvh', 'created 2 grubpvh for 1'],
      [2],
    ],
    ['watchdog', 'on_watchdog = "preserve"', ['stopped 1 watchdog preserve'], [1]],
    ['suspend', '', ['stopped 1 suspend preserve'], [1]],
  ])('%s with %j', (reason, more, expected, left) => {
    const { hypervisor, toolstack, events, create } = setup();
    create(more);
    const released: string[] = [];
    toolstack.store.watch('@releaseDomain', (p) => released.push(p));
    events.length = released.length = 0;
    hypervisor.stop(1, reason);
    expect(events).toEqual(expected);
    expect([...hypervisor.domains.keys()]).toEqual(left);
    expect(released.length).toBeGreaterThan(0);
    expect(toolstack.store.list('/local/domain').map(Number)).toEqual([0, ...left]);
    expect(toolstack.store.list('/vm')).toHaveLength(left.length);
    expect(toolstack.xenstored.store.check()).toBeUndefined();
    expect(hypervisor.services.size).toBe(left.length * 2);
  });
  test('a domain whose memory went elsewhere is not restarted, and nothing of it is left', () => {
    const { hypervisor, toolstack, events, create } = setup();
    create();
    create('', 'other');
    events.length = 0;
    while (hypervisor.machine.freeFrames > 0) hypervisor.machine.allocate();
    // Its balloon gave a page, and another domain has it.
    hypervisor.domain(1)!.memory.p2m.set(1000, 0, P2mType.HOLE);
    hypervisor.stop(1, 'reboot');
    expect(events.slice(0, 2)).toEqual(['stopped 1 reboot restart', 'destroyed 1']);
    expect(events.at(-1)).toMatch(/^not restarted grubpvh: machine memory is exhausted/);
    expect([...hypervisor.domains.keys()]).toEqual([2]);
    expect(toolstack.store.list('/local/domain').map(Number)).toEqual([0, 2]);
    expect(toolstack.xenstored.store.check()).toBeUndefined();
  });
  test('what the guest printed last is not lost', () => {
    const { hypervisor, output, create } = setup();
    create();
    const { memory } = hypervisor.domain(1)!;
    memory.write(0xfefff000 + 1024, new TextEncoder().encode('panic'));
    memory.writeU32(0xfefff000 + 3084, 5);
    hypervisor.stop(1, 'crash');
    expect(output).toEqual(['1:panic']);
  });
  test('reboot after reboot leaks neither memory nor nodes nor ports', () => {
    const { hypervisor, toolstack, create } = setup();
    create();
    const [free, nodes] = [hypervisor.machine.freeFrames, toolstack.xenstored.store.size];
    for (let id = 1; id <= 20; id++) hypervisor.stop(id, 'reboot');
    expect([hypervisor.machine.freeFrames, toolstack.xenstored.store.size]).toEqual([free, nodes]);
    expect(hypervisor.services.size).toBe(2);
  });
  test('input for a domain that is gone is dropped', () => {
    const { toolstack, create } = setup();
    create();
    expect(toolstack.consoleInput(1, Uint8Array.of(13))).toBe(1);
    toolstack.destroy(1);
    expect(toolstack.consoleInput(1, Uint8Array.of(13))).toBe(0);
  });
  test('the operator’s commands', () => {
    const { hypervisor, toolstack, create } = setup();
    create();
    const read = (name: string) => toolstack.store.read(`/local/domain/1/${name}`);
    operate(toolstack, hypervisor, 'xl shutdown grubpvh');
    expect(read('control/shutdown')).toBe('poweroff');
    operate(toolstack, hypervisor, 'reboot 1');
    expect(read('control/shutdown')).toBe('reboot');
    operate(toolstack, hypervisor, 'mem-set grubpvh 4');
    expect(read('memory/target')).toBe('4096');
    for (const bad of ['mem-set grubpvh 9', 'mem-set grubpvh x', 'destroy nobody', 'explode 1', '', 'constructor 1'])
      expect(() => operate(toolstack, hypervisor, bad)).toThrow(ToolstackError);
    for (const bad of ['sysrq grubpvh cc', 'create nowhere', 'list', 'vcpu-set grubpvh 2', 'vcpu-set grubpvh 0'])
      expect(() => operate(toolstack, hypervisor, bad)).toThrow(ToolstackError);
    operate(toolstack, hypervisor, 'sysrq grubpvh c');
    expect(read('control/sysrq')).toBe('c');
    operate(toolstack, hypervisor, 'destroy grubpvh');
    expect(toolstack.list()).toEqual([]);
  });
  test('xl vcpu-set says which vcpus are to be online', () => {
    const { hypervisor, toolstack, create } = setup();
    create('vcpus = 1\nmaxvcpus = 3');
    const cpus = () => [0, 1, 2].map((cpu) => toolstack.store.read(`/local/domain/1/cpu/${cpu}/availability`));
    operate(toolstack, hypervisor, 'vcpu-set grubpvh 2');
    expect(cpus()).toEqual(['online', 'online', 'offline']);
    operate(toolstack, hypervisor, 'vcpu-set grubpvh 1');
    expect(cpus()).toEqual(['online', 'offline', 'offline']);
    expect(() => operate(toolstack, hypervisor, 'vcpu-set grubpvh 4')).toThrow('can have 1 to 3 vcpus, not 4');
  });
  test('xl list and vcpu-list have their columns', () => {
    const { hypervisor, toolstack, create } = setup();
    create('vcpus = 1\nmaxvcpus = 2');
    create('', 'other');
    hypervisor.pause(2);
    const plain = (command: string) => look(toolstack, hypervisor, command).replaceAll(/ +/g, ' ');
    expect(plain('xl list')).toBe(
      'Name ID Mem VCPUs State Time(s)\ngrubpvh 1 8 1 r----- 1.5\nother 2 8 1 r-p--- 1.5\n',
    );
    expect(plain('vcpu-list 1')).toBe('Name ID VCPU CPU State Time(s)\ngrubpvh 1 0 0 r-- 1.5\ngrubpvh 1 1 - --p 0.0\n');
    expect(() => look(toolstack, hypervisor, 'list nobody')).toThrow(ToolstackError);
    expect(() => look(toolstack, hypervisor, 'pause 1')).toThrow(ToolstackError);
  });
  test('the same calls give the same state', () => {
    const run = () => {
      const { hypervisor, toolstack, create } = setup();
      create();
      create('', 'other');
      hypervisor.stop(1, 'reboot');
      return toolstack.state();
    };
    expect(run()).toEqual(run());
  });
});
