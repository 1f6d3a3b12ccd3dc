import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { parseDomainConfig, warningText } from '../../../src/toolstack/xl/config.ts';
import type { DomainConfig } from '../../../src/toolstack/xl/domain-config.ts';
import { ConfigError } from '../../../src/toolstack/xl/error.ts';
import { parseSyntax } from '../../../src/toolstack/xl/syntax.ts';

const base = 'name = "g"\ntype = "pvh"\nkernel = "k"\nmemory = 64\n';
const parse = (text: string) => parseDomainConfig(base + text, 'g.cfg');
const config = (text: string): DomainConfig => parse(text).config;

function errorOf(text: string): string {
  try {
    parseDomainConfig(text, 'g.cfg');
  } catch (e) {
    expect(e).toBeInstanceOf(ConfigError);
    return (e as Error).message;
  }
  throw new Error('accepted');
}

describe('syntax of xl.cfg(5)', () => {
  const atom = (text: string) => {
    const v = parseSyntax(`a = ${text}`, 'f').get('a')!.value;
    return v.kind === 'list' ? v.items.map((i) => (i.kind === 'list' ? 'list' : i.text)) : v.text;
  };
  test.each<[string, string, unknown]>([
    ['double quotes', '"x y"', 'x y'],
    ['single quotes', '\'x "y"\'', 'x "y"'],
    ['letter escapes', String.raw`"\a\b\f\n\r\t\v\\\"\'"`, '\x07\b\f\n\r\t\v\\"\''],
    ['hex and octal escapes', String.raw`"\x41\102\0"`, 'AB\0'],
    ['hash within quotes', '"a#b" # comment', 'a#b'],
    ['number', '128', '128'],
    ['hexadecimal', '0x1f', '0x1f'],
    ['empty list', '[]', []],
    ['list over lines with comments and a trailing comma', '[ "a", # one\n\n  "b" ,\n ]', ['a', 'b']],
    ['continued line', '\\\n "x"', 'x'],
    ['nested list', '[["a"], "b"]', ['list', 'b']],
  ])('%s', (_, text, value) => expect(atom(text)).toEqual(value));

  test('semicolons part settings, += appends, = replaces', () => {
    const s = parseSyntax('a = ["x"]; a += ["y"]; b = "1"\nb += "2"; c = 1; c = 2', 'f');
    expect(s.get('a')!.value).toMatchObject({ items: [{ text: 'x' }, { text: 'y' }] });
    expect(s.get('b')!.value).toMatchObject({ text: '12' });
    expect(s.get('c')!.value).toMatchObject({ text: '2' });
  });

  test.each<[string, string, string]>([
    ['no value', 'a =', 'f:1:4: expected a value'],
    ['bare word', 'a = pvh', 'f:1:5: expected a value: a "string", a number or a [list], found "pvh"'],
    ['no equals', 'a "x"', 'f:1:3: expected "=" after "a"'],
    ['two values', 'a = 1 2', 'f:1:7: expected the end of the line'],
    ['open string', 'a = "x\n"', 'f:1:5: the string that starts here has no closing "'],
    ['open list', 'a = [ 1,\n', 'f:2:1: expected a value'],
    ['list without comma', 'a = [ 1\n 2 ]', 'f:2:2: expected "," or "]" in the list of line 1'],
    ['bad escape', String.raw`a = "\q"`, 'f:1:7: unknown escape'],
    ['python', 'def f():', 'f:1:5: expected "=" after "def"'],
    ['control character', 'a = \x01', 'f:1:5: unexpected character "?"'],
    ['mixed +=', 'a = 1\na += ["x"]', 'f:2:6: += joins'],
    ['deep nesting', `a = ${'['.repeat(100_000)}`, 'f:1:21: lists are nested more than 16 deep'],
    ['huge file', '#'.repeat((1 << 20) + 1), 'f:1:1: the file has 1048577 characters'],
  ])('refuses: %s', (_, text, message) => {
    expect(() => parseSyntax(text, 'f')).toThrow(ConfigError);
    expect(() => parseSyntax(text, 'f')).toThrow(message);
  });
});

describe('domain configuration', () => {
  test('everything at once', () => {
    const { config, warnings } = parseDomainConfig(
      `name = "web"
       type = "pvh"            # direct boot
       kernel = "/boot/vmlinuz"
       ramdisk = '/boot/initrd'
       root = "/dev/xvda1"
       extra = "ro quiet"
       memory = 0x100
       maxmem = 512
       vcpus = 2
       maxvcpus = 4
       on_crash = "preserve"
       on_reboot = "destroy"
       disk = [ 'a.img,raw,xvda,w', "format=qcow2, vdev=xvdb, access=ro, target=/x,y.img", ]
       vif = [ 'mac=00:16:3e:00:00:01,bridge=br0', '' ]
       cpus = "0-3,^2"
       uuid = "B66A0A2AE66211F19879CBA2AE97D62F"
      `,
      'web.cfg',
    );
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      name: 'web',
      uuid: 'b66a0a2a-e662-11f1-9879-cba2ae97d62f',
      type: 'pvh',
      kernel: '/boot/vmlinuz',
      ramdisk: '/boot/initrd',
      cmdline: 'root=/dev/xvda1 ro quiet',
      memoryMiB: 256,
      maxMemoryMiB: 512,
      vcpus: 2,
      maxVcpus: 4,
      onPoweroff: 'destroy',
      onReboot: 'destroy',
      onCrash: 'preserve',
      onWatchdog: 'destroy',
      disks: [
        { target: 'a.img', format: 'raw', vdev: 'xvda', readOnly: false, cdrom: false },
        { target: '/x,y.img', format: 'qcow2', vdev: 'xvdb', readOnly: true, cdrom: false },
      ],
      vifs: [{ mac: '00:16:3e:00:00:01', bridge: 'br0' }, { bridge: 'xenbr0' }],
      cpus: [0, 1, 3],
      acpi: true,
    });
    expect(config.vifs[1]!.mac).toMatch(/^00:16:3e:[0-7]/);
  });

  test('defaults are xl’s', () => {
    expect(config('')).toMatchObject({
      vcpus: 1,
      maxVcpus: 1,
      maxMemoryMiB: 64,
      cmdline: '',
      onPoweroff: 'destroy',
      onReboot: 'restart',
      onCrash: 'destroy',
      disks: [],
      vifs: [],
    });
  });

  test('the result is plain JSON', () => {
    const c = config('disk = ["a,raw,xvda,w"]\nvif = [""]\ncpuid = "host,avx=0"');
    expect(JSON.parse(JSON.stringify(c))).toEqual(c);
  });

  test('uuid follows from the name alone, and differs between names', () => {
    const of = (name: string) => parseDomainConfig(`name="${name}"\nkernel="k"\nmemory=1`, 'f').config.uuid;
    expect(of('a')).toBe(of('a'));
    expect(of('a')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set([...'abcdefgh'].map(of)).size).toBe(8);
  });

  test.each<[string, Partial<DomainConfig>]>([
    ['cmdline = "c"\nextra = "e"', { cmdline: 'c' }],
    ['extra = "e"', { cmdline: 'e' }],
    ['root = "r"', { cmdline: 'root=r' }],
    ['memory = "0200"', { memoryMiB: 128, maxMemoryMiB: 128 }],
    ['maxvcpus = 3', { vcpus: 3, maxVcpus: 3 }],
    ['builder = "hvm"', { type: 'pvh' }],
    [
      'disk = "phy:/dev/x,xvda,r"',
      { disks: [{ target: '/dev/x', format: 'raw', vdev: 'xvda', readOnly: true, cdrom: false }] },
    ],
    [
      'disk = ["c.iso,,hdc,cdrom"]',
      { disks: [{ target: 'c.iso', format: 'raw', vdev: 'hdc', readOnly: true, cdrom: true }] },
    ],
    [
      'disk = ["tap:qcow2:x,xvda,w", "aio:y,sda1,r", "z,raw,xvdb,w,no-discard"]',
      {
        disks: [
          { target: 'x', format: 'qcow2', vdev: 'xvda', readOnly: false, cdrom: false },
          { target: 'y', format: 'raw', vdev: 'sda1', readOnly: true, cdrom: false },
          { target: 'z', format: 'raw', vdev: 'xvdb', readOnly: false, cdrom: false, discard: false },
        ],
      },
    ],
    [
      "vif = ['model=e1000, type=ioemu, rate=10Mb/s@20ms, script=vif-nat, mtu=9000, backend=0, devid=0, vifname=w, mac=00:16:3e:00:00:01']",
      { vifs: [{ mac: '00:16:3e:00:00:01', bridge: 'xenbr0', vifname: 'w' }] },
    ],
    ['cpus = ["1", 2]', { cpus: [1, 2] }],
    ['acpi = 0', { acpi: false }],
    ['max_grant_version = 1', { maxGrantVersion: 1 }],
  ])('%j', (text, expected) => expect(config(text)).toMatchObject(expected));

  test.each<[string, string]>([
    ['memroy = 1', 'g.cfg:5:1: unknown key "memroy"'],
    ['vcpu = 1', 'g.cfg:5:1: unknown key "vcpu"; did you mean vcpus?'],
    ['\n  viridian = 1', 'g.cfg:6:3: viridian has no effect in rexen'],
    ['cmdline = "a"\nroot = "b"', 'g.cfg:5:1: root and extra are ignored because cmdline is given'],
    ['builder = "generic"', ''],
    ['vnc = 1', ''],
    ['pci = []', ''],
  ])('warns: %j', (text, warning) => {
    expect(parse(text).warnings.map(warningText).join('\n')).toBe(warning);
  });

  test.each<[string, string]>([
    ['', 'g.cfg:1:1: the domain has no name; add name = "NAME"'],
    ['name = "a"', 'no kernel is named; add kernel = "FILE"'],
    ['name = "a/b"\nkernel = "k"', 'g.cfg:1:8: "a/b" is no name'],
    ['name = "7"', 'is no name'],
    ['name = "Domain-0"', 'is the name of the control domain'],
    ['name = 5', 'is no name'],
    ['name = ["a"]', 'g.cfg:1:8: name is one "string", not a list'],
    [`${base}type = "pvm"`, 'g.cfg:5:8: type "pvm" is none of "pvh", "hvm", "pv"'],
    [`${base}memory = 0`, 'g.cfg:5:10: memory = "0" is not within 1 to 1048576'],
    [`${base}memory = "lots"`, 'memory is a number, not "lots"'],
    [`${base}memory = 99999999999999999999999`, 'is not within'],
    [`${base}memory = 128\nmaxmem = 64`, 'maxmem = 64 is less than memory = 128'],
    [`${base}vcpus = 129`, 'is not within 1 to 128'],
    [`${base}vcpus = 4\nmaxvcpus = 2`, 'vcpus = 4 is more than maxvcpus = 2'],
    [
      `${base}on_crash = "coredump-destroy"`,
      'g.cfg:5:12: on_crash = "coredump-destroy" is not supported; use destroy,',
    ],
    [`${base}on_crash = "explode"`, 'is none of destroy, restart, preserve'],
    [`${base}uuid = "1234"`, 'is no UUID'],
    [`${base}bootloader = "pygrub"`, 'g.cfg:5:1: bootloader is not supported: name the kernel itself'],
    [`${base}pci = ['00:1f.0']`, 'pci is not supported: a rexen guest has no host PCI devices'],
    [`${base}disk = ['x,vhd,xvda,w']`, 'g.cfg:5:9: disk format "vhd" is not supported'],
    [`${base}disk = ['x,raw,,w']`, 'needs a device name'],
    [`${base}disk = [',raw,xvda,w']`, 'has no file'],
    [`${base}disk = ['x,raw,xvda,q']`, 'disk access "q"'],
    [`${base}disk = ['x,raw,xvda,w,extra']`, 'has more than'],
    [`${base}disk = ['colour=red']`, 'disk key "colour"'],
    [`${base}disk = ['x,raw,xvda,w',\n 'y,raw,xvda,w']`, 'g.cfg:6:2: two disks are called xvda'],
    [`${base}disk = ['vhd:x,xvda,w']`, 'disk format "vhd" is not supported'],
    [`${base}disk = ['nbd:host,xvda,w']`, 'wants the block script of nbd:'],
    [`${base}disk = [',,xvdc,cdrom']`, 'is an empty CD-ROM drive'],
    [`${base}disk = ['x,raw,xvda,w,backendtype=fast']`, 'backendtype="fast" is none of phy, tap, qdisk'],
    [`${base}disk = ['x,raw,xvda,w,specification=virtio']`, 'specification="virtio" is none of xen'],
    [`${base}vif = ['rate=fast']`, 'vif rate "fast"'],
    [`${base}vif = ['type=bogus']`, 'vif type="bogus" is none of vif, ioemu'],
    [`${base}vif = ['mtu=1']`, 'vif mtu="1" is not within 68 to 65535'],
    [`${base}vif = ['devid=1']`, 'vif devid="1": interfaces are numbered in their order, this one is 0'],
    [`${base}vif = ['backend=driverdomain']`, 'interfaces come from Domain 0 alone'],
    [`${base}vif = ['mac=1']`, 'is not six hex bytes'],
    [`${base}vif = ['mac=ff:ff:ff:ff:ff:ff']`, 'multicast'],
    [`${base}vif = ['speed=9']`, 'vif part "speed=9"'],
    [`${base}vif = [['a']]`, 'g.cfg:5:8: vif holds "strings", not lists'],
    [`${base}cpus = "many"`, 'cpus part "many"'],
    [`${base}cpus = "1,^1"`, 'leaves no processor'],
    [`${base}extra = "a\\0b"`, 'extra holds a zero byte'],
    [`${base}vif = [${'"",'.repeat(65)}]`, 'vif has 65 entries, at most 64'],
  ])('refuses %j', (text, message) => expect(errorOf(text)).toContain(message));
});

describe('hostile text', () => {
  const words = fc.constantFrom(
    ...[
      'name',
      'memory',
      'vcpus',
      'disk',
      'vif',
      'cpus',
      'kernel',
      'type',
      '=',
      '+=',
      '[',
      ']',
      ',',
      ';',
      '\n',
      '"',
      "'",
      '\\',
    ],
    ...['"a"', '"pvh"', '0x10', '1', '-1', '#', ' ', '\0', '__proto__', 'constructor', 'é', '"\\x4"', '"^1-9"'],
  );
  const only = (text: string) => {
    try {
      parseDomainConfig(text, 'f');
    } catch (e) {
      if (!(e instanceof ConfigError)) throw e;
    }
  };
  test('random words give a ConfigError or a configuration', () => {
    fc.assert(
      fc.property(fc.array(words, { maxLength: 60 }), (w) => only(w.join(''))),
      { numRuns: 2000 },
    );
  });
  test('random text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (t) => only(base + t)),
      { numRuns: 2000 },
    );
  });
  test('a long file takes time in proportion', () => {
    only(`${'['.repeat(500_000)}`);
    only(`a = [${'"x",'.repeat(200_000)}]`);
    only(`a = "${'\\n'.repeat(400_000)}"`);
    only('a += "x";'.repeat(100_000));
    only('a += ["x"];'.repeat(90_000));
  }, 5000);
});
