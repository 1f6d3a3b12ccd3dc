/** `rexen debug`: gdb on a recording. */
import type { Command } from 'commander';
import { elfSymbols } from '../debug/symbols/elf-symbols.ts';
import { symbolImage } from '../debug/symbols/elf-writer.ts';
import { writeOutput } from '../host/gdb-client.ts';
import { listenForGdb } from '../host/gdb-server.ts';
import { interrupted } from '../host/signals.ts';
import { runGdb } from '../host/gdb-client.ts';
import { grouped } from '../log/print.ts';
import type { Recording } from '../log/recording.ts';
import { ReplayTarget } from '../../replay/debug-target.ts';
import { guestSymbols } from '../../replay/guest-symbols.ts';
import { parseMark } from '../../replay/mark.ts';
import { STATUS, withRecording } from './common.ts';
import { addTimelineOptions, domainNamed, openTimeline, type TimelineArguments } from './timeline.ts';

interface DebugOptions extends TimelineArguments {
  gdb?: string;
  at?: string;
  domain?: string;
  writeSymbols?: string;
}

export function describeDebug(command: Command): void {
  addTimelineOptions(command)
    .argument('<file>', 'a recording')
    .description(
      'Replays a recording under gdb: threads are vcpus; reverse-stepi, reverse-continue and all the others work. ' +
        'Starts gdb here, or waits for one on --gdb. "monitor help" in gdb lists what rexen adds.',
    )
    .option('--gdb <host:port>', 'wait for gdb there instead of starting one; the host is the loopback unless given')
    .option('--at <mark>', 'where to begin: a tick, 1.5s, #EVENT, end-1000, console:"TEXT"; default the end')
    .option('--write-symbols <file>', "the guest's symbols as a file for gdb, of Linux from its own memory")
    .option('--domain <name>', 'only the vcpus of this domain')
    .addHelpText('after', '\nExample:\n  rexen debug recordings/demo.rxn --gdb :1234 --at end-1000')
    .action(async (file: string, options: DebugOptions) => {
      process.exitCode = await withRecording(file, (recording) => debug(recording, file, options));
    });
}

async function debug(recording: Recording, file: string, options: DebugOptions): Promise<number> {
  const mark = options.at === undefined ? undefined : parseMark(options.at, recording);
  const timeline = openTimeline(recording, file, options);
  const domain = options.domain === undefined ? undefined : domainNamed(timeline.session, options.domain);
  const target = new ReplayTarget(timeline, { domain, say: (text) => process.stderr.write(`rexen: ${text}\n`) });
  timeline.seek(Math.min(mark?.tick ?? target.end, target.end));
  target.interrupted();
  if (options.writeSymbols !== undefined) {
    const image = symbolFile(timeline.session, domain);
    if (!image) throw new Error('the guest has no symbols here; begin at a place where its kernel runs');
    writeOutput(options.writeSymbols, image);
  }
  const server = await listenForGdb(options.gdb ?? '127.0.0.1:0', target);
  const address = `${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}`;
  try {
    if (options.gdb === undefined) {
      return await runGdb(address, symbolFile(timeline.session, domain));
    }
    process.stderr.write(
      `at tick ${grouped(timeline.tick)} of ${grouped(recording.lastTick)}; waiting for gdb: target remote ${address}\n`,
    );
    await Promise.race([server.goodbye, interrupted()]);
    return STATUS.OK;
  } finally {
    server.close();
  }
}

type TimelineSession = ReturnType<typeof openTimeline>['session'];

/** A file for gdb with the guest's symbols: the kernel's own if it is an ELF image that has them. */
function symbolFile(session: TimelineSession, chosen: number | undefined): Uint8Array | undefined {
  const domain = session.xen.find(chosen ?? domainNamed(session, undefined));
  if (!domain) return undefined;
  const kernel = session.config.domains.find(({ config }) => config.name === domain.name)?.kernel;
  const bytes = kernel === undefined ? undefined : session.images.get(kernel)?.bytes;
  if (bytes && elfSymbols(bytes)) return bytes;
  const symbols = guestSymbols(session, domain);
  return symbols.size > 0 ? symbolImage(symbols) : undefined;
}
