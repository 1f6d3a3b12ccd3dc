/** `rexen record`: boots domains and keeps everything. */
import { type Command, InvalidArgumentError } from 'commander';
import { checkCommit, commitDisks } from '../host/commit.ts';
import { ImageTable } from '../host/images.ts';
import { hostUnixMs, Output, Progress } from '../host/output.ts';
import { initramfsOf } from '../host/linux-guest.ts';
import { type RecordOutcome, type RecordResult, recordSession } from '../host/recorder.ts';
import { createdConfigs, readScript, ScriptSet } from '../host/script-set.ts';
import { listenForGdb, parseAddress, targetText } from '../host/gdb-server.ts';
import { HostNetwork } from '../host/user-net/host-network.ts';
import { TerminalKeyboard } from '../host/terminal.ts';
import { KEYS_HELP } from '../host/terminal-keys.ts';
import { grouped } from '../log/print.ts';
import type { MachineConfig } from '../machine/config.ts';
import { type Session, type SessionDomain, sessionConfig } from '../session.ts';
import { LiveTarget } from '../../replay/live-target.ts';
import { OPERATOR_HELP } from '../toolstack/operator.ts';
import {
  DEFAULT_WALLCLOCK_MS,
  loadDomains,
  loadLater,
  startRecording,
  submitDisks,
  submitWallclock,
} from '../host/start.ts';
import { bytesText, STATUS, wholeNumber } from './common.ts';

export interface RecordOptions {
  output?: string;
  script?: readonly string[];
  later?: readonly string[];
  maxTicks?: number;
  wallclock?: number;
  pcpus?: number;
  sliceTicks?: number;
  initrdDir?: string;
  commit?: boolean;
  gdb?: string;
  json?: boolean;
}

export const GDB_HELP =
  'debug while recording: wait for gdb there before the first instruction; it only looks, so the recording stays what it would be';

const STATUS_OF: Readonly<Record<RecordOutcome, number>> = {
  finished: STATUS.OK,
  ended: STATUS.OK,
  crashed: STATUS.CRASHED,
  'max-ticks': STATUS.MAX_TICKS,
  'expect-not-met': STATUS.EXPECT_NOT_MET,
  interrupted: STATUS.INTERRUPTED,
};

export function describeRecord(command: Command): void {
  command
    .argument('<config...>', "domains' configurations in xl's syntax, a domain a file")
    .description(
      "Boots the domains and records everything. The first domain's console is the terminal, Ctrl-] ends; with --script, the script drives it.",
    )
    .option('-o, --output <file>', 'where to; default recordings/NAME-DATE.rxn')
    .option(
      '--script <[domain=]file>',
      'lines: expect "TEXT", send "TEXT", wait TICKS, domain NAME, xl COMMAND, end; several run side by side, each beginning at the console of its domain',
      collect,
    )
    .option('--later <config>', 'a domain that xl create CONFIG makes while the session runs', collect)
    .option('--initrd-dir <dir>', "an initramfs of this folder's files, in place of the configurations' ramdisk")
    .option('--max-ticks <n>', 'end there at the latest', wholeNumber)
    .option(
      '--wallclock <time>',
      'time of day at boot, ISO 8601, or "now"; scripts begin at 2026-01-01T00:00:00Z',
      time,
    )
    .option('--pcpus <n>', 'processors of the machine; default as many as the largest domain has vcpus', wholeNumber)
    .option('--slice-ticks <n>', "a processor's turn, in ticks", wholeNumber)
    .option('--commit', 'at the end, write what the guests wrote into the files of their disks')
    .option('--gdb <host:port>', GDB_HELP)
    .option('--json', 'the result as one JSON object, and no console')
    .addHelpText(
      'after',
      `
Exit status: 0 powered off or script ended, 3 a domain crashed, 4 --max-ticks, 5 an expect was not met.

xl commands, in scripts and behind Ctrl-A c; those that change something are inputs, kept and replayed:
  ${OPERATOR_HELP.replaceAll('\n', '\n  ')}

Example:
  rexen record -o hello.rxn test/guests/hello.cfg
  rexen record web.cfg db.cfg --script web=web.script --script db=db.script
  rexen record web.cfg --initrd-dir rootfs   (rootfs/init is process 1)
  rexen record web.cfg --later db.cfg        (then Ctrl-A c, and xl create db.cfg)`,
    )
    .action(async (paths: string[], options: RecordOptions) => {
      const images = new ImageTable();
      const more = options.initrdDir === undefined ? {} : { ramdisk: initramfsOf(options.initrdDir) };
      process.exitCode = await recordDomains(loadDomains(paths, images, warning, more), images, options);
    });
}

/** Options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

function time(text: string): number {
  const ms = text === 'now' ? hostUnixMs() : Date.parse(text);
  if (!Number.isFinite(ms) || ms < 0) throw new InvalidArgumentError('It must be a time like 2026-01-01T12:00:00Z.');
  return ms;
}

function warning(text: string): void {
  process.stderr.write(`rexen: ${text}\n`);
}

/** Records a session of these domains to its end. @returns the exit status */
export async function recordDomains(
  started: readonly SessionDomain[],
  images: ImageTable,
  options: RecordOptions,
): Promise<number> {
  const offered = [...started, ...loadLater(options.later ?? [], started, images, warning)];
  const names = offered.map(({ config: { name } }) => name);
  const scripts = (options.script ?? []).map((each) => readScript(each, names));
  const created = createdConfigs(scripts.map(({ script }) => script));
  const domains = [...offered, ...loadLater(created, offered, images, warning)];
  const machine: Partial<MachineConfig> = {
    ...(options.pcpus === undefined ? {} : { pcpus: options.pcpus }),
    ...(options.sliceTicks === undefined ? {} : { slice_ticks: options.sliceTicks }),
  };
  const config = sessionConfig(domains, machine);
  const all = domains.map(({ config: { name } }) => name);
  const script = scripts.length === 0 ? undefined : new ScriptSet(scripts, all);
  if (options.commit) checkCommit(config, options.output ?? 'recordings/new.rxn');
  if (options.gdb !== undefined) parseAddress(options.gdb);
  const { session, writer, path, close, discard } = startRecording(config, images, options.output);
  const ms = options.wallclock ?? (script ? DEFAULT_WALLCLOCK_MS : hostUnixMs());
  submitWallclock(session.machine.door, ms);
  submitDisks(session, config);
  const shown = new ConsolePrinter(session.domains[0]!, script !== undefined);
  if (!options.json) session.onConsole((domain, bytes) => shown.print(domain, bytes));
  session.onRefused = (command, why) => process.stderr.write(`rexen: xl ${command}: ${why}\n`);
  const network = session.hasUplink ? new HostNetwork(session) : undefined;
  const keyboard = script ? undefined : new TerminalKeyboard();
  if (keyboard && process.stdin.isTTY) process.stderr.write(`${KEYS_HELP}\n`);
  const interrupt = { aborted: false };
  const onSignal = () => {
    interrupt.aborted = true;
  };
  process.once('SIGINT', onSignal);
  const progress = new Progress();
  const debugger_ = options.gdb === undefined ? undefined : await openDebugger(session, options.gdb, path, discard);
  try {
    const result = await recordSession(session, {
      writer,
      script,
      keyboard,
      network,
      holder: debugger_?.target,
      print: options.json ? undefined : (text) => shown.xl(text),
      onSwitch: (domain) => shown.switchTo(domain),
      maxTicks: options.maxTicks,
      signal: interrupt,
      progress: (ticks, events) => {
        if (options.json) progress.update(() => `recording: ${grouped(ticks)} ticks, ${grouped(events)} events`);
      },
    });
    progress.done();
    const files = options.commit ? commitDisks(session, path) : [];
    await report(path, result, options.json === true);
    for (const file of files) process.stderr.write(`committed ${file}\n`);
    return STATUS_OF[result.outcome];
  } finally {
    process.removeListener('SIGINT', onSignal);
    keyboard?.close();
    network?.close();
    debugger_?.server.close();
    close();
  }
}

/** Waits for gdb, which finds the session before its first instruction. */
async function openDebugger(session: Session, address: string, path: string, discard: () => void) {
  const target = new LiveTarget(session, { say: warning });
  try {
    const server = await listenForGdb(address, target, warning);
    process.stderr.write(
      `the session stands still before its first instruction; gdb joins by:\n  gdb -ex '${targetText(server)}'\n` +
        `and lets it go on with continue or detach; what it recorded until then can be opened: rexen debug ${path}\n`,
    );
    return { target, server };
  } catch (error) {
    discard();
    throw error;
  }
}

/** Console output as it comes: one domain's to a person, all domains' from a script. */
class ConsolePrinter {
  readonly #all: boolean;
  #domain: string;

  constructor(domain: string, all: boolean) {
    this.#domain = domain;
    this.#all = all;
  }

  print(domain: string, bytes: Uint8Array): void {
    if (!this.#all && domain !== this.#domain) return;
    if (domain !== this.#domain) process.stdout.write(`\n[${domain}]\n`);
    this.#domain = domain;
    process.stdout.write(bytes);
  }

  xl(text: string): void {
    process.stdout.write(this.#all ? `\n[xl]\n${text}` : text);
    if (this.#all) this.#domain = '';
  }

  switchTo(domain: string): void {
    this.#domain = domain;
    process.stdout.write(`[${domain}]\n`);
  }
}

async function report(path: string, result: RecordResult, json: boolean): Promise<void> {
  if (json) {
    const out = new Output();
    const { message, seconds, ...figures } = result;
    // Whether it can be verified is for a replay to say.
    const rounded = Number(seconds.toFixed(3));
    out.line(JSON.stringify({ file: path, ...figures, seconds: rounded, verified: false, message: message ?? null }));
    await out.flush();
    return;
  }
  const { ticks, events, bytes, seconds, message, digest } = result;
  process.stderr.write(
    `\nrecorded ${path}: ${grouped(ticks)} ticks, ${grouped(events)} events, ${bytesText(bytes)} in ${seconds.toFixed(2)} s\n` +
      `digest ${digest}\n${message === undefined ? '' : `rexen: ${message}\n`}`,
  );
}
