/** `rexen record`: boots domains and keeps everything. */
import { type Command, InvalidArgumentError } from 'commander';
import { checkCommit, commitDisks } from '../host/commit.ts';
import { readText } from '../host/files.ts';
import { ImageTable } from '../host/images.ts';
import { hostUnixMs, Output, Progress } from '../host/output.ts';
import { parseScript, ScriptRunner } from '../host/script.ts';
import { type RecordOutcome, type RecordResult, recordSession } from '../host/recorder.ts';
import { TerminalKeyboard } from '../host/terminal.ts';
import { grouped } from '../log/print.ts';
import type { MachineConfig } from '../machine/config.ts';
import { type SessionDomain, sessionConfig } from '../session.ts';
import { DEFAULT_WALLCLOCK_MS, loadDomains, startRecording, submitDisks, submitWallclock } from '../host/start.ts';
import { bytesText, STATUS, wholeNumber } from './common.ts';

export interface RecordOptions {
  output?: string;
  script?: string;
  maxTicks?: number;
  wallclock?: number;
  pcpus?: number;
  sliceTicks?: number;
  commit?: boolean;
  json?: boolean;
}

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
    .option('--script <file>', 'lines: expect "TEXT", send "TEXT", wait TICKS, domain NAME, end')
    .option('--max-ticks <n>', 'end there at the latest', wholeNumber)
    .option(
      '--wallclock <time>',
      'time of day at boot, ISO 8601, or "now"; scripts begin at 2026-01-01T00:00:00Z',
      time,
    )
    .option('--pcpus <n>', 'processors of the machine; default as many as the largest domain has vcpus', wholeNumber)
    .option('--slice-ticks <n>', "a processor's turn, in ticks", wholeNumber)
    .option('--commit', 'at the end, write what the guests wrote into the files of their disks')
    .option('--json', 'the result as one JSON object, and no console')
    .addHelpText(
      'after',
      '\nExit status: 0 powered off or script ended, 3 a domain crashed, 4 --max-ticks, 5 an expect was not met.\n\nExample:\n  rexen record -o hello.rxn test/guests/hello.cfg',
    )
    .action(async (paths: string[], options: RecordOptions) => {
      const images = new ImageTable();
      process.exitCode = await recordDomains(loadDomains(paths, images, warning), images, options);
    });
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
  domains: readonly SessionDomain[],
  images: ImageTable,
  options: RecordOptions,
): Promise<number> {
  const script =
    options.script === undefined ? undefined : parseScript(readText(options.script, 'script'), options.script);
  const machine: Partial<MachineConfig> = {
    ...(options.pcpus === undefined ? {} : { pcpus: options.pcpus }),
    ...(options.sliceTicks === undefined ? {} : { slice_ticks: options.sliceTicks }),
  };
  const config = sessionConfig(domains, machine);
  const runner =
    script &&
    new ScriptRunner(
      script,
      config.domains.map(({ config: { name } }) => name),
    );
  if (options.commit) checkCommit(config, options.output ?? 'recordings/new.rxn');
  const { session, writer, path, close } = startRecording(config, images, options.output);
  const ms = options.wallclock ?? (script ? DEFAULT_WALLCLOCK_MS : hostUnixMs());
  submitWallclock(session.machine.door, ms);
  submitDisks(session, config);
  if (!options.json) session.onConsole(consolePrinter(session.domains, script !== undefined));
  const keyboard = script ? undefined : new TerminalKeyboard();
  if (keyboard && process.stdin.isTTY) process.stderr.write('(Ctrl-] ends the session)\r\n');
  const interrupt = { aborted: false };
  const onSignal = () => {
    interrupt.aborted = true;
  };
  process.once('SIGINT', onSignal);
  const progress = new Progress();
  try {
    const result = await recordSession(session, {
      writer,
      script: runner,
      keyboard,
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
    close();
  }
}

/** Console output as it comes: the first domain's to a person, all domains' from a script. */
function consolePrinter(domains: readonly string[], all: boolean): (domain: string, bytes: Uint8Array) => void {
  let last = domains[0];
  return (domain, bytes) => {
    if (!all && domain !== domains[0]) return;
    if (domain !== last) process.stdout.write(`\n[${domain}]\n`);
    last = domain;
    process.stdout.write(bytes);
  };
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
