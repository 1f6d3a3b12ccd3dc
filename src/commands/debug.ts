/** `rexen debug`: gdb on a recording. */
import { type Command, InvalidArgumentError } from 'commander';
import { runGdb, writeOutput } from '../host/gdb-client.ts';
import { type GdbServer, listenForGdb, parseAddress, targetText } from '../host/gdb-server.ts';
import { interrupted } from '../host/signals.ts';
import { processOf } from '../debug/target.ts';
import { grouped } from '../log/print.ts';
import type { Recording } from '../log/recording.ts';
import { ReplayTarget } from '../../replay/debug-target.ts';
import type { Architecture } from '../../replay/guest-view.ts';
import { parseMark } from '../../replay/mark.ts';
import { symbolFileOf } from '../../replay/symbol-file.ts';
import type { Timeline } from '../../replay/timeline.ts';
import { STATUS, withRecording } from './common.ts';
import { addTimelineOptions, domainNamed, openTimeline, type TimelineArguments } from './timeline.ts';

interface DebugOptions extends TimelineArguments {
  gdb?: string;
  at?: string;
  domain?: string;
  arch?: Architecture;
  x?: string[];
  batch?: boolean;
  writeSymbols?: string;
}

const ARCHITECTURES: readonly Architecture[] = ['auto', 'i386', 'x86-64'];

export function describeDebug(command: Command): void {
  addTimelineOptions(command)
    .argument('<file>', 'a recording')
    .argument('[gdb-arguments...]', 'behind --: more arguments for gdb, which it takes when it is connected')
    .description(
      'Replays a recording under gdb: processes are domains, threads are vcpus; reverse-stepi, reverse-continue and all ' +
        'the others work. Starts gdb here, or waits for one on --gdb. "monitor help" in gdb lists what rexen adds.',
    )
    .option('--gdb <host:port>', 'wait for gdb there instead of starting one; the host is the loopback unless given')
    .option('--at <mark>', 'where to begin: a tick, 1.5s, #EVENT, end-1000, console:"TEXT"; default the end')
    .option('-x <script>', "a file of gdb's commands; may be given several times", collect)
    .option('--batch', 'end when the scripts have; the exit status is that of gdb')
    .option('--domain <name>', 'only the vcpus of this domain')
    .option('--arch <name>', `registers as gdb sees them: ${ARCHITECTURES.join(', ')}`, architecture)
    .option('--write-symbols <file>', "the guest's symbols as a file for gdb, of Linux from its own memory")
    .addHelpText(
      'after',
      `
Examples:
  rexen debug recordings/demo.rxn --at end-1000
  rexen debug linux.rxn -- -ex 'break do_exit' -ex reverse-continue -ex backtrace
  rexen debug linux.rxn --batch -x find-it.gdb
  rexen debug recordings/demo.rxn --gdb :1234`,
    )
    .action(async (file: string, args: string[], options: DebugOptions) => {
      if (options.gdb !== undefined) parseAddress(options.gdb);
      process.exitCode = await withRecording(file, (recording) => debug(recording, file, args, options));
    });
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

function architecture(text: string): Architecture {
  const known = ARCHITECTURES.find((each) => each === text);
  if (known === undefined) throw new InvalidArgumentError(`There is ${ARCHITECTURES.join(', ')}.`);
  return known;
}

function say(text: string): void {
  process.stderr.write(`rexen: ${text}\n`);
}

async function debug(
  recording: Recording,
  file: string,
  args: readonly string[],
  options: DebugOptions,
): Promise<number> {
  const mark = options.at === undefined ? undefined : parseMark(options.at, recording);
  const timeline = openTimeline(recording, file, options);
  const files = new SymbolFiles(timeline);
  let domain: number | undefined;
  const target = new ReplayTarget(timeline, {
    get domain() {
      return domain;
    },
    architecture: options.arch,
    say,
    symbols: (id) => files.of(id),
  });
  const at = Math.min(mark?.tick ?? target.end, target.end);
  timeline.seek(at);
  if (options.domain !== undefined) domain = domainNamed(timeline.session, options.domain);
  const first = domain ?? domainNamed(timeline.session, undefined);
  // Early in its boot a kernel cannot be asked for its names yet.
  if (!files.of(first)) {
    timeline.seek(target.end);
    files.of(first);
    timeline.seek(at);
  }
  target.interrupted();
  if (options.writeSymbols !== undefined) {
    const image = files.of(first);
    if (!image) throw new Error('the guest has no symbols, neither in its image nor in its memory');
    writeOutput(options.writeSymbols, image);
  }
  const server = await listenForGdb(options.gdb ?? '127.0.0.1:0', target, say);
  try {
    if (options.gdb !== undefined) return await wait(server, timeline);
    const scripts = (options.x ?? []).flatMap((each) => ['-x', each]);
    const batch = options.batch ? ['-batch'] : [];
    const more = [...batch, ...scripts, ...args];
    const several = new Set(target.threads().map(({ id }) => processOf(id))).size > 1;
    return await runGdb({ target: targetText(server), several, symbols: files.of(first), args: more });
  } finally {
    server.close();
  }
}

async function wait(server: GdbServer, timeline: Timeline): Promise<number> {
  process.stderr.write(
    `at tick ${grouped(timeline.tick)} of ${grouped(timeline.lastTick)}; waiting for gdb, which joins by:\n` +
      `  gdb -ex '${targetText(server)}'\n` +
      'detach or kill in gdb ends this, a lost connection does not.\n',
  );
  await Promise.race([server.goodbye, interrupted()]);
  return STATUS.OK;
}

/** Symbol files by domain, once they could be had. */
class SymbolFiles {
  readonly #timeline: Timeline;
  readonly #files = new Map<number, Uint8Array>();

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  of(domain: number): Uint8Array | undefined {
    const known = this.#files.get(domain);
    if (known) return known;
    const file = symbolFileOf(this.#timeline.session, domain);
    if (file) this.#files.set(domain, file);
    return file;
  }
}
