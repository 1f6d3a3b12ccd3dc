import { type Place, shown } from './error.ts';
import type { DiskConfig, VifConfig } from './domain-config.ts';
import { hash128 } from './uuid.ts';

/** Raises a ConfigError at a place. */
export type Fail = (place: Place, what: string) => never;

const DISK_KEYS = [
  'target',
  'format',
  'vdev',
  'access',
  'devtype',
  'backend',
  'backendtype',
  'script',
  'specification',
] as const;
/** `direct-io-safe` speaks of the host's caches. */
const DISK_FLAGS = ['cdrom', 'discard', 'no-discard', 'direct-io-safe'];
/** Who serves a disk under Xen; here it is one and the same. */
const BACKEND_TYPES = ['phy', 'tap', 'qdisk'];

/**
 * xl-disk-configuration(5): positional `target, format, vdev, access`, then `key=value` and flags in any order;
 * `target=` takes the rest of the string, commas and all. Of the old prefixes, `qcow2:` says the format, and the others
 * who serves the disk.
 */
export function parseDisk(spec: string, at: Place, fail: Fail): DiskConfig {
  const fields = diskFields(spec, at, fail);
  const cdrom = fields.get('devtype') === 'cdrom';
  const target = fields.get('target') ?? '';
  const format = fields.get('format') || 'raw';
  const vdev = fields.get('vdev') ?? '';
  const access = fields.get('access') || (cdrom ? 'r' : 'w');
  if (target === '' && cdrom)
    fail(at, `disk ${shown(spec)} is an empty CD-ROM drive, which is not supported; name an image or remove the disk`);
  if (target === '') fail(at, `disk ${shown(spec)} has no file; write "FILE,raw,xvda,w"`);
  if (!/^(xvd[a-z]{1,2}|hd[a-z]|sd[a-z]|d\d+)(p?\d+)?$/.test(vdev))
    fail(at, `disk ${shown(spec)} needs a device name such as xvda, not ${shown(vdev)}; write "FILE,raw,xvda,w"`);
  if (format !== 'raw' && format !== 'qcow2')
    fail(at, `disk format ${shown(format)} is not supported; use raw or qcow2 (qemu-img convert makes one)`);
  if (!['r', 'ro', 'w', 'rw'].includes(access)) fail(at, `disk access ${shown(access)} is none of r, ro, w, rw`);
  if (fields.has('backend') && fields.get('backend') !== '0' && fields.get('backend') !== 'Domain-0')
    fail(at, 'disks come from Domain 0 alone; remove backend=');
  if (fields.has('script')) fail(at, 'block scripts are not run; name a file as the target');
  oneOf('disk', fields, 'backendtype', BACKEND_TYPES, at, fail);
  oneOf('disk', fields, 'specification', ['xen'], at, fail);
  oneOf('disk', fields, 'devtype', ['cdrom', 'disk'], at, fail);
  const readOnly = access === 'r' || access === 'ro' || cdrom;
  return { target, format, vdev, readOnly, cdrom, ...(fields.has('no-discard') ? { discard: false } : {}) };
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
      if (word === 'no-discard') fields.set(word, '');
      if (word === 'discard') fields.delete('no-discard');
    } else if (position < positional.length) {
      fields.set(positional[position++]!, word);
    } else {
      fail(at, `disk ${shown(spec)} has more than target, format, vdev and access before ${shown(word)}`);
    }
  }
  if (!spec.includes('target=')) oldStyle(fields, at, fail);
  return fields;
}

/** `phy:FILE,xvda,w`: the format follows from the prefixes, and device and access move one place forward. */
function oldStyle(fields: Map<string, string>, at: Place, fail: Fail): void {
  let target = fields.get('target') ?? '';
  let format: string | undefined;
  for (;;) {
    const [whole, prefix] = /^([a-z][a-z0-9]*):/.exec(target) ?? [];
    if (whole === undefined) break;
    if (['raw', 'qcow', 'qcow2', 'vhd', 'qed'].includes(prefix!)) format = prefix;
    else if (['file', 'phy', 'tap', 'tap2', 'tapdisk', 'aio', 'ioemu'].includes(prefix!)) format ??= 'raw';
    else fail(at, `disk target ${shown(target)} wants the block script of ${whole}, none is run; name a file`);
    target = target.slice(whole.length);
  }
  if (format === undefined) return;
  const [vdev, access] = [fields.get('format') ?? '', fields.get('vdev') ?? ''];
  fields.set('target', target).set('format', format);
  fields.set('vdev', vdev.replace(/:cdrom$/, '')).set('access', access);
  if (vdev.endsWith(':cdrom')) fields.set('devtype', 'cdrom');
}

function oneOf(what: string, fields: Fields, key: string, known: readonly string[], at: Place, fail: Fail): void {
  const value = fields.get(key);
  if (value !== undefined && !known.includes(value))
    fail(at, `${what} ${key}=${shown(value)} is none of ${known.join(', ')}`);
}
type Fields = ReadonlyMap<string, string>;

const VIF_KEYS = ['mac', 'bridge', 'ip', 'vifname', 'script', 'model', 'type', 'rate', 'backend', 'gatewaydev', 'mtu'];
const VIF_MORE = ['devid', 'forwarddev', 'trusted', 'accel'];
/** `10Mb/s`, `250KB/s@20ms`. */
const RATE = /^\d+[KMG]?[Bb]\/s(@\d+(ms|us|s)?)?$/i;

/**
 * xl-network-configuration(5): `key=value` parts. `model` and `type` are of emulated cards, scripts are the host's, and
 * the virtual switch has neither a limit of rate nor of size: these are checked and have no effect.
 */
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
  oneOf('vif', fields, 'type', ['vif', 'ioemu'], at, fail);
  const mtu = fields.get('mtu');
  if (mtu !== undefined && !(/^\d+$/.test(mtu) && Number(mtu) >= 68 && Number(mtu) <= 65_535))
    fail(at, `vif mtu=${shown(mtu)} is not within 68 to 65535`);
  const devid = fields.get('devid');
  if (devid !== undefined && devid !== String(index))
    fail(at, `vif devid=${shown(devid)}: interfaces are numbered in their order, this one is ${index}`);
  const rate = fields.get('rate');
  if (rate !== undefined && !RATE.test(rate)) fail(at, `vif rate ${shown(rate)} is none; write 10Mb/s or 1MB/s@20ms`);
  if (!['0', 'Domain-0', undefined].includes(fields.get('backend')))
    fail(at, 'interfaces come from Domain 0 alone; remove backend=');
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
