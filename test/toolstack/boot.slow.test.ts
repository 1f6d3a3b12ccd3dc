/** Debian's unmodified images, built by the toolstack and run by the whole machine. */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { ticks } from '../../src/base/ticks.ts';
import { EventLog } from '../../src/log/append.ts';
import type { MachineEvent } from '../../src/log/event.ts';
import { Session, sessionConfig } from '../../src/session.ts';
import type { Image } from '../../src/toolstack/builder/image.ts';
import { cpioArchive, FileType } from '../../src/toolstack/builder/cpio.ts';
import { parseDomainConfig } from '../../src/toolstack/xl/config.ts';
import { debianImage, testWithImages } from '../support/images.ts';

function boot(text: string, kernel: string, ramdisk?: Uint8Array) {
  const { config } = parseDomainConfig(
    `name = "guest"\ntype = "pvh"\nkernel = "k"\non_reboot = "destroy"\n${text}`,
    'guest.cfg',
  );
  const images = new Map<string, Image>([['k', { name: kernel, bytes: new Uint8Array(readFileSync(kernel)) }]]);
  if (ramdisk) images.set('r', { name: 'initrd', bytes: ramdisk });
  const events: MachineEvent[] = [];
  const createLog = (now: ConstructorParameters<typeof EventLog>[0]) => {
    const log = new EventLog(now);
    log.events$.subscribe((e) => {
      if (e.kind === 'domain-shutdown' || e.kind === 'triple-fault') events.push(e);
    });
    return log;
  };
  const domain = { config, kernel: 'k', ...(ramdisk ? { ramdisk: 'r' } : {}) };
  const session = new Session({ config: sessionConfig([domain]), images, createLog });
  let output = '';
  session.onConsole((_, bytes) => (output += new TextDecoder('latin1').decode(bytes)));
  return {
    session,
    events,
    output: () => output,
    run: (mega: number) => {
      const stop = session.run(ticks(session.now() + mega * 1_000_000));
      session.log.flush();
      return stop;
    },
    type: (keys: string) =>
      session.machine.door.submit({
        kind: 'console-input',
        domain: session.domainId('guest')!,
        bytes: new TextEncoder().encode(keys),
      }),
  };
}

testWithImages(
  'GRUB answers at its prompt and halts',
  [debianImage('usr/lib/grub-xen/grub-i386-xen_pvh.bin')],
  (grub) => {
    const guest = boot('memory = 32', grub);
    const until = (text: string) => {
      for (let i = 0; i < 60 && !guest.output().includes(text); i++) guest.run(10);
      expect(guest.output()).toContain(text);
    };
    until('grub> ');
    guest.type('echo rexen\r');
    until('rexen');
    guest.type('lsmmap\r');
    until('base_addr = 0xfeff8000, length = 0x8000, reserved RAM');
    expect(guest.output()).toContain('base_addr = 0x0, length = 0x2000000, available RAM');
    guest.type('halt\r');
    for (let i = 0; i < 20 && guest.events.length === 0; i++) guest.run(10);
    expect(guest.events).toMatchObject([{ kind: 'domain-shutdown', domain: 1, reason: 'poweroff' }]);
  },
);

const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys
echo "cpus $(grep -c ^processor /proc/cpuinfo), $(cat /sys/hypervisor/type) $(cat /sys/hypervisor/guest_type)"
echo "clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
seq 1 1000 | sha256sum
poweroff -f
`;

function initramfs(busybox: string): Uint8Array {
  const [dir, file] = [FileType.DIRECTORY | 0o755, FileType.FILE | 0o755];
  const archive = cpioArchive([
    { path: 'bin', mode: dir },
    { path: 'dev', mode: dir },
    { path: 'dev/console', mode: FileType.CHARACTER | 0o600, device: [5, 1] },
    { path: 'bin/busybox', mode: file, data: new Uint8Array(readFileSync(busybox)) },
    { path: 'init', mode: file, data: new TextEncoder().encode(INIT) },
  ]);
  return new Uint8Array(gzipSync(archive));
}

for (const [image, vcpus, packing] of [
  ['boot/vmlinuz-*-cloud-amd64', 1, 'lz4'],
  ['boot/vmlinuz-*-cloud-amd64', 2, 'lz4'],
  ['boot/vmlinuz-*-amd64', 1, 'xz'],
] as const)
  testWithImages(
    `Linux (${image}, ${packing}) with ${vcpus} vcpu(s) boots to a shell and stops`,
    [debianImage(image), debianImage('bin/busybox')],
    (kernel, busybox) => {
      const guest = boot(`memory = 256\nvcpus = ${vcpus}\nextra = "console=hvc0 panic=-1"`, kernel, initramfs(busybox));
      for (let i = 0; i < 60 && guest.events.length === 0; i++) guest.run(100);
      const text = guest.output();
      expect(text).toContain('Booting kernel on Xen PVH');
      expect(text).toContain('ACPI: RSDP 0x00000000FC008000 000024 (v02 Xen   )');
      // Behind the MADT, which grows by 8 bytes a vcpu.
      expect(text).toContain(`ACPI: XSDT 0x00000000FC007F${vcpus === 1 ? '5' : '6'}0`);
      expect(text).toContain(`cpus ${vcpus}, xen PVH`);
      expect(text).toContain('clock xen');
      // What `seq 1 1000 | sha256sum` prints anywhere.
      expect(text).toContain('67d4ff71d43921d5739f387da09746f405e425b07d727e4c69d029461d1f051f');
      // With real Xen, too, a PVH Linux has no power-off of its own and halts.
      expect(text).toContain('reboot: System halted');
      expect(text).not.toMatch(/BUG:|Oops|\bstall|WARNING: CPU/);
      expect(guest.events).toMatchObject([{ kind: 'domain-shutdown', reason: 'poweroff' }]);
    },
    300_000,
  );
