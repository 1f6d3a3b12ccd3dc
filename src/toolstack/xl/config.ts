import { ConfigError, type Place, shown } from './error.ts';
import { cpuidOverrides, cpuidProblem, ineffective } from './cpuid.ts';
import { parseDisk, parseVif } from './devices.ts';
import {
  DOMAIN_TYPES,
  type DomainConfig,
  type DomainType,
  SHUTDOWN_ACTIONS,
  type ShutdownAction,
} from './domain-config.ts';
import { nearestKey, useOfKey } from './keys.ts';
import { parseSyntax, type Setting, type Value } from './syntax.ts';
import { normalUuid, uuidFromName } from './uuid.ts';

export interface ConfigWarning extends Place {
  readonly file: string;
  readonly text: string;
}

export interface ParsedConfig {
  readonly config: DomainConfig;
  /** For people: `FILE:LINE:COLUMN: text`, in file order. */
  readonly warnings: readonly ConfigWarning[];
}

export const MAX_MEMORY_MIB = 1 << 20;
export const MAX_VCPUS = 128;
const DEFAULT_MEMORY_MIB = 128;
const MAX_DEVICES = 64;

/**
 * Reads one domain's configuration in xl's syntax, xl.cfg(5). Unknown keys warn; values that rexen cannot honour are
 * errors. `file` is only for messages.
 * @throws ConfigError with file, line, column and what to do
 */
export function parseDomainConfig(text: string, file: string): ParsedConfig {
  return new Extractor(parseSyntax(text, file), file).run();
}

export function warningText(w: ConfigWarning): string {
  return `${w.file}:${w.line}:${w.column}: ${w.text}`;
}

/** Place of a setting that is missing altogether. */
const TOP: Place = { line: 1, column: 1 };

class Extractor {
  readonly #settings: Map<string, Setting>;
  readonly #file: string;
  readonly #warnings: ConfigWarning[] = [];

  constructor(settings: Map<string, Setting>, file: string) {
    this.#settings = settings;
    this.#file = file;
  }

  run(): ParsedConfig {
    for (const setting of this.#settings.values()) this.#checkKey(setting);
    const name = this.#name();
    const uuid = this.#uuid(name);
    const type = this.#type();
    const kernel = this.#string('kernel');
    if (kernel === undefined) this.#fail(TOP, 'no kernel is named; add kernel = "FILE"');
    if (kernel === '') this.#fail(this.#settings.get('kernel')!.value, 'kernel is empty; name a file');
    const ramdisk = this.#string('ramdisk') || undefined;
    const cpuWeight = this.#integer('cpu_weight', 1, 65535);
    const cpuCap = this.#integer('cap', 0, 100 * MAX_VCPUS);
    const maxGrantVersion = this.#integer('max_grant_version', 1, 2);
    const cpus = this.#cpus();
    const config: DomainConfig = {
      name,
      uuid,
      type,
      kernel,
      ...(ramdisk === undefined ? {} : { ramdisk }),
      cmdline: this.#cmdline(),
      ...this.#memory(),
      ...this.#vcpuCounts(),
      onPoweroff: this.#action('on_poweroff', 'destroy'),
      onReboot: this.#action('on_reboot', 'restart'),
      onCrash: this.#action('on_crash', 'destroy'),
      onWatchdog: this.#action('on_watchdog', 'destroy'),
      disks: this.#disks(),
      vifs: this.#strings('vif').map((v, i) => parseVif(v.text, i, uuid, v, this.#fail)),
      cpuid: this.#cpuid(),
      ...(cpus === undefined ? {} : { cpus }),
      ...(cpuWeight === undefined ? {} : { cpuWeight }),
      ...(cpuCap === undefined ? {} : { cpuCap }),
      ...(maxGrantVersion === undefined ? {} : { maxGrantVersion }),
      acpi: (this.#integer('acpi', 0, 1) ?? 1) === 1,
    };
    return { config, warnings: this.#warnings.sort((a, b) => a.line - b.line || a.column - b.column) };
  }

  readonly #fail = (place: Place, what: string): never => {
    throw new ConfigError(this.#file, place, what);
  };

  #warn(place: Place, text: string): void {
    this.#warnings.push({ file: this.#file, line: place.line, column: place.column, text });
  }

  #checkKey(setting: Setting): void {
    const use = useOfKey(setting.key);
    if (use === 'ignored') this.#warn(setting, `${setting.key} has no effect in rexen`);
    if (use === 'unknown') {
      const near = nearestKey(setting.key);
      this.#warn(setting, `unknown key ${shown(setting.key)}${near === undefined ? '' : `; did you mean ${near}?`}`);
    }
    if (typeof use === 'object' && !isEmpty(setting.value))
      this.#fail(setting, `${setting.key} is not supported: ${use.advice}`);
  }

  #name(): string {
    const name = this.#string('name');
    if (name === undefined) return this.#fail(TOP, 'the domain has no name; add name = "NAME"');
    const place = this.#settings.get('name')!.value;
    if (!/^[A-Za-z0-9_.+-]{1,64}$/.test(name) || /^\d+$/.test(name))
      this.#fail(place, `${shown(name)} is no name: 1 to 64 letters, digits and -_.+, not digits alone`);
    if (name === 'Domain-0') this.#fail(place, 'Domain-0 is the name of the control domain; choose another');
    return name;
  }

  #uuid(name: string): string {
    const given = this.#string('uuid');
    if (given === undefined) return uuidFromName(name);
    return (
      normalUuid(given) ?? this.#fail(this.#settings.get('uuid')!.value, `${shown(given)} is no UUID (32 hex digits)`)
    );
  }

  #type(): DomainType {
    const type = this.#string('type');
    const builder = this.#string('builder');
    if (type !== undefined) {
      if ((DOMAIN_TYPES as readonly string[]).includes(type)) return type as DomainType;
      this.#fail(this.#settings.get('type')!.value, `type ${shown(type)} is none of "pvh", "hvm", "pv"`);
    }
    if (builder === undefined) return 'pv';
    const place = this.#settings.get('builder')!.value;
    this.#warn(place, 'builder is the old spelling; write type = "hvm" or type = "pv"');
    if (builder === 'hvm') return 'hvm';
    return builder === 'generic' ? 'pv' : this.#fail(place, `builder ${shown(builder)} is none of "hvm", "generic"`);
  }

  /** xl: `cmdline` wins over `root` and `extra`, which are joined with a blank. */
  #cmdline(): string {
    const cmdline = this.#string('cmdline');
    const root = this.#string('root');
    const extra = this.#string('extra');
    if (cmdline !== undefined) {
      if (root !== undefined || extra !== undefined)
        this.#warn(this.#settings.get('cmdline')!, 'root and extra are ignored because cmdline is given');
      return cmdline;
    }
    return [root === undefined ? [] : [`root=${root}`], extra ?? []].flat().join(' ');
  }

  #memory(): { memoryMiB: number; maxMemoryMiB: number } {
    const memory = this.#integer('memory', 1, MAX_MEMORY_MIB);
    const maxmem = this.#integer('maxmem', 1, MAX_MEMORY_MIB);
    const memoryMiB = memory ?? maxmem ?? DEFAULT_MEMORY_MIB;
    if (memory === undefined && maxmem === undefined)
      this.#warn(TOP, `memory is not given; the domain gets ${DEFAULT_MEMORY_MIB} MiB`);
    const maxMemoryMiB = maxmem ?? memoryMiB;
    if (maxMemoryMiB < memoryMiB)
      this.#fail(this.#settings.get('maxmem')!.value, `maxmem = ${maxMemoryMiB} is less than memory = ${memoryMiB}`);
    return { memoryMiB, maxMemoryMiB };
  }

  #vcpuCounts(): { vcpus: number; maxVcpus: number } {
    const vcpus = this.#integer('vcpus', 1, MAX_VCPUS);
    const most = this.#integer('maxvcpus', 1, MAX_VCPUS);
    const maxVcpus = most ?? vcpus ?? 1;
    if (vcpus !== undefined && vcpus > maxVcpus)
      this.#fail(this.#settings.get('vcpus')!.value, `vcpus = ${vcpus} is more than maxvcpus = ${maxVcpus}`);
    return { vcpus: vcpus ?? maxVcpus, maxVcpus };
  }

  #action(key: string, otherwise: ShutdownAction): ShutdownAction {
    const action = this.#string(key);
    if (action === undefined) return otherwise;
    if ((SHUTDOWN_ACTIONS as readonly string[]).includes(action)) return action as ShutdownAction;
    const place = this.#settings.get(key)!.value;
    const known = ['rename-restart', 'coredump-destroy', 'coredump-restart', 'soft-reset'].includes(action);
    return this.#fail(
      place,
      known
        ? `${key} = "${action}" is not supported; use destroy, restart or preserve (the recording keeps the memory)`
        : `${key} = ${shown(action)} is none of destroy, restart, preserve`,
    );
  }

  #disks(): DomainConfig['disks'] {
    const specs = this.#strings('disk');
    const disks = specs.map((v) => parseDisk(v.text, v, this.#fail));
    disks.forEach((disk, i) => {
      if (disks.findIndex((d) => d.vdev === disk.vdev) < i) this.#fail(specs[i]!, `two disks are called ${disk.vdev}`);
    });
    return disks;
  }

  /** `cpuid`: one string that begins with "host", or a list of leaves. Checked here, interpreted when the domain is made. */
  #cpuid(): string[] {
    const value = this.#settings.get('cpuid')?.value;
    const entries = this.#strings('cpuid');
    const format = value?.kind === 'list' ? 'list' : 'string';
    for (const entry of entries) {
      const fail = (what: string): never => this.#fail(entry, what);
      const problem = cpuidProblem(entry.text, format, fail);
      if (problem !== undefined) fail(problem);
    }
    const texts = entries.map((entry) => entry.text).filter((text) => text !== '');
    const overrides = cpuidOverrides(texts, (what) => this.#fail(value!, what));
    for (const text of ineffective(overrides)) this.#warn(value!, text);
    return texts;
  }

  /** `cpus`: "all", "0-3,5,^1", or a list of such strings and numbers; `^` takes away. */
  #cpus(): number[] | undefined {
    const values = this.#strings('cpus');
    const chosen = new Set<number>();
    let all = values.length === 0;
    for (const value of values)
      for (const part of value.text.split(',').map((p) => p.trim())) {
        if (part === 'all') {
          all = true;
          continue;
        }
        const [, not, from, to] = /^(\^?)(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
        if (from === undefined) this.#fail(value, `cpus part ${shown(part)} is no processor, range or "all"`);
        if (not === '^' && all)
          this.#fail(value, 'cpus: list the wanted processors; "all" without some is not supported');
        for (let cpu = Number(from); cpu <= Number(to ?? from); cpu++)
          not === '^' ? chosen.delete(cpu) : chosen.add(cpu);
      }
    if (all) return undefined;
    if (chosen.size === 0) this.#fail(values[0]!, 'cpus leaves no processor to run on');
    return [...chosen].sort((a, b) => a - b);
  }

  #string(key: string): string | undefined {
    const value = this.#settings.get(key)?.value;
    if (value === undefined) return undefined;
    if (value.kind === 'list') return this.#fail(value, `${key} is one "string", not a list`);
    if (value.text.includes('\0')) return this.#fail(value, `${key} holds a zero byte`);
    return value.text;
  }

  /** C's bases, as xl reads numbers: 0x is hexadecimal, a leading 0 octal; a quoted number is one too. */
  #integer(key: string, least: number, most: number): number | undefined {
    const value = this.#settings.get(key)?.value;
    if (value === undefined) return undefined;
    if (value.kind === 'list') return this.#fail(value, `${key} is one number, not a list`);
    const text = value.text.trim();
    const n = /^0[xX][0-9a-fA-F]+$/.test(text)
      ? Number(text)
      : /^0[0-7]+$/.test(text)
        ? Number.parseInt(text, 8)
        : /^\d+$/.test(text)
          ? Number(text)
          : this.#fail(value, `${key} is a number, not ${shown(text)}`);
    if (n < least || n > most) this.#fail(value, `${key} = ${shown(text)} is not within ${least} to ${most}`);
    return n;
  }

  /** A list of strings; a single string stands for a list of one. */
  #strings(key: string): { text: string; line: number; column: number }[] {
    const value = this.#settings.get(key)?.value;
    if (value === undefined) return [];
    const items = value.kind === 'list' ? value.items : [value];
    if (items.length > MAX_DEVICES)
      this.#fail(value, `${key} has ${items.length} entries, at most ${MAX_DEVICES} are taken`);
    return items.map((item) => {
      if (item.kind === 'list') return this.#fail(item, `${key} holds "strings", not lists`);
      if (item.text.includes('\0')) return this.#fail(item, `${key} holds a zero byte`);
      return { text: item.text, line: item.line, column: item.column };
    });
  }
}

function isEmpty(value: Value): boolean {
  return value.kind === 'list' ? value.items.length === 0 : value.text === '' || value.text === '0';
}
