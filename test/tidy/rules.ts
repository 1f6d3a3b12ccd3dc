/**
 * The house rules as data and checks. Each finding names the file, the line, what is wrong and what to do instead.
 * To change a rule, change its table here: the review then sees it as one line.
 */
import { lineAt, resolveImport, type SourceFile } from './source.ts';

/**
 * Who may import what. A key is a folder (or a file) of the project; a value lists folders and single files.
 * A file may always import from its own folder. The longest key that fits a file decides.
 *
 *   base ── wasm ── isa ── memory, cpu ── devices ── machine ── hypervisor ── toolstack ── snapshot ── host ── commands
 *     \__ log (the event union: every layer that reports may import it)        replay, perf use src, never the reverse
 */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'src/base': [],
  'src/wasm': ['src/base'],
  'src/isa': ['src/base'],
  'src/memory': ['src/base', 'src/wasm', 'src/cpu/layout.ts', 'src/cpu/fault.ts', 'src/cpu/state.ts'],
  'src/cpu': ['src/base', 'src/wasm', 'src/isa', 'src/memory'],
  'src/log': ['src/base'],
  'src/devices': ['src/base'],
  'src/machine': ['src/base', 'src/wasm', 'src/isa', 'src/cpu', 'src/memory', 'src/devices', 'src/log'],
  'src/hypervisor': ['src/base', 'src/cpu', 'src/memory', 'src/devices', 'src/machine', 'src/log'],
  // Back ends speak PV protocols over an interface of their own; they know neither hypervisor nor toolstack.
  'src/backends': ['src/base'],
  'src/toolstack': [
    'src/base',
    'src/memory',
    'src/cpu',
    'src/devices',
    'src/machine',
    'src/hypervisor',
    'src/backends',
    'src/log',
  ],
  'src/snapshot': [
    // Snapshots are of whole sessions; the session knows nothing of them.
    'src/session.ts',
    'src/base',
    'src/cpu',
    'src/memory',
    'src/devices',
    'src/machine',
    'src/hypervisor',
    'src/backends',
    'src/toolstack',
    'src/log',
  ],
  'src/debug': ['src/base', 'src/isa', 'src/cpu', 'src/memory', 'src/log'],
  // Looking into a session, live or replayed, without a trace.
  'src/inspect': [
    'src/session.ts',
    'src/base',
    'src/isa',
    'src/cpu',
    'src/memory',
    'src/hypervisor',
    'src/log',
    'src/debug',
  ],
  'src/host': ['src'],
  'src/session.ts': ['src'],
  // The composition roots: the command line and the library's front door put src and replay together.
  'src/commands': ['src', 'replay'],
  'src/main.ts': ['src', 'replay'],
  'src/index.ts': ['src', 'replay'],
  replay: ['src'],
  perf: ['src', 'replay', 'test/support'],
  test: ['src', 'replay', 'perf'],
};

/** Where a rule does not hold although its folder says so; every entry needs its reason. */
export interface Ban {
  readonly what: RegExp;
  readonly instead: string;
  /** Folders and files where the ban holds; default is all of src and replay. */
  readonly within?: readonly string[];
}

const ENGINE = [
  'src/base',
  'src/wasm',
  'src/isa',
  'src/cpu',
  'src/memory',
  'src/devices',
  'src/machine',
  'src/hypervisor',
  'src/backends',
  'src/toolstack',
  'src/snapshot',
  'src/log',
  'src/debug',
  'src/inspect',
  'replay',
];

/** Places that may see the host's clock, randomness and files. */
export const OUTSIDE = ['src/host', 'perf', 'test', 'scripts'];

export const BANS: readonly Ban[] = [
  {
    what: /\bDate\s*\.\s*now\b|\bnew\s+Date\b|\bDate\s*\(/g,
    instead: 'the wall clock is an input event; ask the input door (src/host)',
  },
  {
    what: /\bperformance\s*\.\s*(now|timeOrigin|mark|measure)\b/g,
    instead: 'measure in src/host or perf; inside, time is Ticks (src/base)',
  },
  { what: /\bhrtime\b/g, instead: 'measure in src/host or perf; inside, time is Ticks (src/base)' },
  { what: /\bMath\s*\.\s*random\b/g, instead: 'a seeded generator whose seed is in the recording' },
  {
    what: /\b(getRandomValues|randomBytes|randomUUID|randomInt|randomFillSync)\b/g,
    instead: 'entropy is an input event; ask the input door (src/host)',
  },
  {
    what: /\b(setTimeout|setInterval|setImmediate)\s*\(/g,
    instead: 'an alarm of the virtual clock (src/machine); host waiting belongs to src/host',
  },
  {
    what: /\b(WeakRef|FinalizationRegistry)\b/g,
    instead: 'an explicit life cycle: garbage collection happens at a host time',
  },
  { what: /\b(fetch|WebSocket)\s*\(/g, instead: 'a service of src/host behind the input door' },
  { what: /\btoLocale\w*\s*\(|\bIntl\s*\./g, instead: 'plain formatting: a locale differs between hosts' },
  { what: /\bprocess\s*\./g, instead: 'a value passed in by src/host', within: ENGINE },
  { what: /\bconsole\s*\./g, instead: 'an event on the log, or a thrown error', within: ENGINE },
  {
    what: /\bMath\s*\.\s*(sin|cos|tan|asin|acos|atan|atan2|sinh|cosh|tanh|exp|expm1|log|log1p|log10|pow|cbrt|hypot)\b/g,
    instead: 'exact integer arithmetic: ECMAScript leaves the last digits of these to the engine (C3)',
    within: ['src/cpu', 'src/memory', 'src/devices', 'src/machine', 'src/hypervisor'],
  },
];

/** Node's modules that compute and touch nothing outside; all others are src/host's. */
export const PURE_NODE_MODULES = ['node:zlib', 'node:buffer', 'node:crypto', 'node:util', 'node:assert'];

/** RxJS exports that read the host's clock. */
export const TIMED_RXJS = [
  'asyncScheduler',
  'asapScheduler',
  'animationFrameScheduler',
  'interval',
  'timer',
  'delay',
  'delayWhen',
  'debounceTime',
  'throttleTime',
  'auditTime',
  'sampleTime',
  'bufferTime',
  'windowTime',
  'timeInterval',
  'timestamp',
  'timeout',
];

export const MAX_LINES = 400;

/** Data tables may be long (STYLE.md); nothing else may. */
export const LONG_TABLES: readonly RegExp[] = [/^src\/isa\/tables\/[\w-]*\.ts$/, /^src\/wasm\/opcodes\.ts$/];

export function under(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}/`);
}

function ruleFor(path: string): readonly [string, readonly string[]] | undefined {
  const keys = Object.keys(MAY_IMPORT).filter((key) => under(path, key));
  const key = keys.sort((a, b) => b.length - a.length)[0];
  return key === undefined ? undefined : [key, MAY_IMPORT[key]!];
}

/** The import rule: direction between folders, and the `.ts` ending that node needs. */
export function checkImports(file: SourceFile, packages: readonly string[]): string[] {
  const rule = ruleFor(file.path);
  if (!rule) return [`${file.path}: is in no folder of the import rule; add one to MAY_IMPORT in test/tidy/rules.ts`];
  const [own, allowed] = rule;
  const findings: string[] = [];
  for (const site of file.imports) {
    const where = `${file.path}:${site.line}: imports '${site.specifier}'`;
    const target = resolveImport(file.path, site.specifier);
    if (target === undefined) {
      const isProduct = under(file.path, 'src') || under(file.path, 'replay');
      const name = site.specifier
        .split('/')
        .slice(0, site.specifier.startsWith('@') ? 2 : 1)
        .join('/');
      if (isProduct && !site.specifier.startsWith('node:') && !packages.includes(name))
        findings.push(`${where}: not a dependency in package.json; use one of ${packages.join(', ')}, or write it`);
      continue;
    }
    if (!/\.(ts|json)$/.test(target)) findings.push(`${where}: end it in .ts, node runs the sources as they are`);
    if (under(target, own) && own !== 'src') continue;
    if (!allowed.some((place) => under(target, place) && (!isRoot(target) || own === 'src/main.ts' || own === 'test')))
      findings.push(
        `${where}: ${own} may only import ${allowed.length ? allowed.join(', ') : 'nothing'}; pass it in from above, or move the code down`,
      );
  }
  return findings;
}

function isRoot(target: string): boolean {
  return under(target, 'src/commands') || target === 'src/main.ts';
}

/** The ban on host time, randomness and the outside world (C1, C2). */
export function checkBans(file: SourceFile): string[] {
  if (OUTSIDE.some((place) => under(file.path, place))) return [];
  const findings: string[] = [];
  for (const ban of BANS) {
    if (!(ban.within ?? ['src', 'replay']).some((place) => under(file.path, place))) continue;
    for (const match of file.code.matchAll(ban.what))
      findings.push(
        `${file.path}:${lineAt(file.code, match.index)}: '${match[0].trim()}' is banned here; instead: ${ban.instead}`,
      );
  }
  for (const site of file.imports) {
    const where = `${file.path}:${site.line}: imports`;
    if (site.specifier.startsWith('node:') && !site.typeOnly && !PURE_NODE_MODULES.includes(site.specifier))
      findings.push(`${where} '${site.specifier}', banned here; instead: put it behind an interface in src/host`);
    if (site.specifier.startsWith('rxjs'))
      for (const name of site.names)
        if (TIMED_RXJS.includes(name))
          findings.push(
            `${where} '${name}' of rxjs, which reads the host's clock; instead: operators over ticks in src/log`,
          );
  }
  return findings;
}

export function checkLength(file: SourceFile): string[] {
  const lines = file.text.split('\n').length - 1;
  if (lines <= MAX_LINES || LONG_TABLES.some((table) => table.test(file.path))) return [];
  return [
    `${file.path}: has ${lines} lines, more than ${MAX_LINES}; split it by reason to change, or list a pure data table in LONG_TABLES`,
  ];
}

/** Import cycles among files, types apart; each is reported once as the path that closes it. */
export function checkCycles(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const state = new Map<string, 'open' | 'done'>();
  const findings: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      const cycle = [...trail.slice(trail.indexOf(path)), path];
      findings.push(`import cycle: ${cycle.join(' -> ')}; move what both need into a file of its own`);
      return;
    }
    state.set(path, 'open');
    for (const site of byPath.get(path)?.imports ?? []) {
      const target = resolveImport(path, site.specifier);
      if (target !== undefined && !site.typeOnly && byPath.has(target)) visit(target, [...trail, path]);
    }
    state.set(path, 'done');
  };
  for (const file of files) visit(file.path, []);
  return findings;
}
