import { type Place, shown } from './error.ts';
import type { DiskConfig, VifConfig } from './domain-config.ts';
import { hash128 } from './uuid.ts';

/** Raises a ConfigError at a place. */
export type Fail = (place: Place, what: string) => never;

const DISK_KEYS = ['target', 'format', 'vdev', 'access', 'devtype', 'backend', 'backendtype', 'script'] as const;
const DISK_FLAGS = ['cdrom', 'discard', 'no-discard', 'direct-io-safe', 'specification'];

/**
 * xl-disk-configuration(5): positional `target, format, vdev, access`, then `key=value` and flags in any order;
 * `target=` takes the rest of the string, commas and all. The old prefixes `file:` and `phy:` mean raw.
 */
export function parseDisk(spec: string, at: Place, fail: Fail): DiskConfig {
  const fields = diskFields(spec, at, fail);
  const cdrom = fields.get('devtype') === 'cdrom';
  const target = fields.get('target') ?? '';
  const format = fields.get('format') || 'raw';
  const vdev = fields.get('vdev') ?? '';
  const access = fields.get('access') || (cdrom ? 'r' : 'w');
  if (target === '') fail(at, `disk ${shown(spec)} has no file; write "FILE,raw,xvda,w"`);
  if (!/^(xvd[a-z]{1,2}|hd[a-z]|sd[a-z]|d\d+)(p?\d+)?$/.test(vdev))
    fail(at, `disk ${shown(spec)} needs a device name such as xvda, not ${shown(vdev)}; write "FILE,raw,xvda,w"`);
  if (format !== 'raw' && format !== 'qcow2')
    fail(at, `disk format ${shown(format)} is not supported; use raw or qcow2 (qemu-img convert makes one)`);
  if (!['r', 'ro', 'w', 'rw'].includes(access)) fail(at, `disk access ${shown(access)} is none of r, ro, w, rw`);
  if (fields.has('backend') && fields.get('backend') !== '0' && fields.get('backend') !== 'Domain-0')
    fail(at, 'disks come from Domain 0 alone; remove backend=');
  if (fields.has('script')) fail(at, 'block scripts are not run; name a file as the target');
  return { target, format, vdev, readOnly: access === 'r' || access === 'ro' || cdrom, cdrom };
}

function diskFields(spec: string, at: Place, fail: Fail): Map<string, string> {
  const fields = new Map<string, string>();
  const positional = ['target', 'format', 'vdev', 'access'];
  let rest = spec.trim();
  let position = 0;
  while (rest !== '') {
    const whole = /^\s*target=([\s\S]*)$/.exec(rest);
    if (whole) {
      fields.set('target', whole[1]!);
      break;
    }
    const comma = rest.indexOf(',');
    const word = (comma < 0 ? rest : rest.slice(0, comma)).trim();
    rest = comma < 0 ? '' : rest.slice(comma + 1);
    const named = /^([a-z-]+)=(.*)$/.exec(word);
    if (named) {
      if (!(DISK_KEYS as readonly string[]).includes(named[1]!))
        fail(at, `disk key ${shown(named[1]!)} is none of ${DISK_KEYS.join(', ')}`);
      fields.set(named[1]!, named[2]!);
    } else if (DISK_FLAGS.includes(word)) {
      if (word === 'cdrom') fields.set('devtype', 'cdrom');
    } else if (position < positional.length) {
      fields.set(positional[position++]!, word);
    } else {
      fail(at, `disk ${shown(spec)} has more than target, format, vdev and access before ${shown(word)}`);
    }
  }
  const old = /^(file|phy|raw|qcow2):([\s\S]*)$/.exec(fields.get('target') ?? '');
  if (old && !spec.includes('target=')) oldStyle(fields, old[1]!, old[2]!);
  return fields;
}

/** `phy:FILE,xvda,w`: the format is the prefix, and device and access move one place forward. */
function oldStyle(fields: Map<string, string>, prefix: string, target: string): void {
  const [vdev, access] = [fields.get('format') ?? '', fields.get('vdev') ?? ''];
  fields.set('target', target).set('format', prefix === 'qcow2' ? 'qcow2' : 'raw');
  fields.set('vdev', vdev.replace(/:cdrom$/, '')).set('access', access);
  if (vdev.endsWith(':cdrom')) fields.set('devtype', 'cdrom');
}

const VIF_KEYS = ['mac', 'bridge', 'ip', 'vifname', 'script', 'model', 'type', 'rate', 'backend', 'gatewaydev', 'mtu'];
const VIF_MORE = ['devid', 'forwarddev', 'trusted', 'accel'];

/** xl-network-configuration(5): `key=value` parts; `model`, `rate` and scripts say nothing about a virtual switch. */
export function parseVif(spec: string, index: number, uuid: string, at: Place, fail: Fail): VifConfig {
  const fields = new Map<string, string>();
  for (const part of spec.split(',').map((p) => p.trim())) {
    if (part === '') continue;
    const [, key = '', value = ''] = /^([a-z-]+)\s*=\s*(.*)$/.exec(part) ?? [];
    if (!VIF_KEYS.includes(key) && !VIF_MORE.includes(key))
      fail(at, `vif part ${shown(part)} is none of ${VIF_KEYS.map((k) => `${k}=`).join(', ')}`);
    fields.set(key, value);
  }
  const mac = fields.get('mac')?.toLowerCase() ?? derivedMac(uuid, index);
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac))
    fail(at, `MAC address ${shown(mac)} is not six hex bytes with colons`);
  if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1) fail(at, `MAC address ${mac} is a multicast address`);
  const ip = fields.get('ip');
  const vifname = fields.get('vifname');
  return {
    mac,
    bridge: fields.get('bridge') ?? 'xenbr0',
    ...(ip === undefined ? {} : { ip }),
    ...(vifname === undefined ? {} : { vifname }),
  };
}

/** Xen's own prefix 00:16:3e and three bytes that follow from the domain and the interface's index. */
function derivedMac(uuid: string, index: number): string {
  const low = hash128(`${uuid} vif ${index}`) & 0x7fffffn;
  return `00:16:3e:${low
    .toString(16)
    .padStart(6, '0')
    .replace(/(..)(..)(..)/, '$1:$2:$3')}`;
}
