/** `rexen debug`: gdb on a recording. */
import type { Command } from 'commander';
import { listenForGdb } from '../host/gdb-server.ts';
import { interrupted } from '../host/signals.ts';
import { runGdb } from '../host/gdb-client.ts';
import { grouped } from '../log/print.ts';
import type { Recording } from '../log/recording.ts';
import { ReplayTarget } from '../../replay/debug-target.ts';
import { parseMark } from '../../replay/mark.ts';
import { STATUS, withRecording } from './common.ts';
import { addTimelineOptions, domainNamed, openTimeline, type TimelineArguments } from './timeline.ts';

interface DebugOptions extends TimelineArguments {
  gdb?: string;
  at?: string;
  domain?: string;
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
  const server = await listenForGdb(options.gdb ?? '127.0.0.1:0', target);
  const address = `${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}`;
  try {
    if (options.gdb === undefined) {
      const kernel = kernelOf(timeline.session, domain);
      return await runGdb(address, kernel);
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

/** Content of a domain's kernel if gdb could read symbols from it: an ELF image. */
function kernelOf(session: TimelineSession, domain: number | undefined): Uint8Array | undefined {
  const name = domain === undefined ? undefined : session.xen.find(domain)?.name;
  const { domains } = session.config;
  const chosen = domains.find(({ config }) => name === undefined || config.name === name);
  const bytes = chosen && session.images.get(chosen.kernel)?.bytes;
  return bytes?.[0] === 0x7f && bytes[1] === 0x45 ? bytes : undefined;
}
