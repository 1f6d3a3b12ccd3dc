/** `rexen demo`: the main job on the guests that ship with the project. */
import type { Command } from 'commander';
import { REG } from '../cpu/state.ts';
import { FileSource, sha256 } from '../host/files.ts';
import { ImageTable, shippedGuest } from '../host/images.ts';
import { hostSeconds, Output, Progress } from '../host/output.ts';
import { type RecordResult, recordSession } from '../host/recorder.ts';
import type { EventOf } from '../log/event.ts';
import { eventDetails, grouped, place } from '../log/print.ts';
import { openRecording, type Recording } from '../log/recording.ts';
import { selectEvents } from '../log/select.ts';
import { sessionConfig } from '../session.ts';
import { parseDomainConfig } from '../toolstack/xl/config.ts';
import { divergenceText } from '../../replay/divergence.ts';
import { disassemblyText, registersText } from '../../replay/inspect.ts';
import { lanes, moments } from '../../replay/lanes.ts';
import { ReplaySession } from '../../replay/session.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { symbolIn } from '../inspect/symbols.ts';
import { DEFAULT_WALLCLOCK_MS, startRecording, submitWallclock } from '../host/start.ts';
import { bytesText, STATUS, XEN_NAMES } from './common.ts';

/** The three domains: two that talk over a ring in a granted page, as split drivers do, and one that keeps time. */
const DOMAINS = [
  { name: 'back', guest: 'ring-back', cmdline: 'requests=200' },
  { name: 'front', guest: 'ring-front', cmdline: 'requests=200' },
  { name: 'ticker', guest: 'ticker', cmdline: 'ticks=8 period_ms=1' },
];

export function describeDemo(command: Command): void {
  command
    .description(
      'Boots three small domains, records them, replays and checks the recording, goes back to an event and looks around there.',
    )
    .option('-o, --output <file>', 'where the recording goes; default recordings/demo-DATE.rxn')
    .addHelpText('after', '\nExample:\n  rexen demo')
    .action(async (options: { output?: string }) => {
      const out = new Output();
      process.exitCode = await demo(out, options.output);
      await out.flush();
    });
}

async function demo(out: Output, output: string | undefined): Promise<number> {
  const say = async (...lines: string[]) => {
    for (const line of lines) out.line(line);
    await out.flush();
  };
  const { path, result } = await recordDemo(say, output);
  const source = new FileSource(path);
  try {
    const recording = openRecording(source);
    const seconds = await replayDemo(say, recording, path);
    if (seconds === undefined) return STATUS.DIVERGED;
    await goBack(say, recording, path);
    await say('', '4. The session at a glance (who had the processor; time goes right)', '');
    await say(...lanes(recording, 64).map(indent), '', ...moments(recording, XEN_NAMES));
    await figures(say, recording, result, seconds);
    await say(
      '',
      'Try next:',
      `  rexen info ${path}`,
      `  rexen events ${path} --kind grant-map,evtchn-send --limit 10`,
    );
    return STATUS.OK;
  } finally {
    source.close();
  }
}

type Say = (...lines: string[]) => Promise<void>;
const indent = (line: string) => `   ${line}`;

async function recordDemo(say: Say, output: string | undefined): Promise<{ path: string; result: RecordResult }> {
  const images = new ImageTable();
  const domains = DOMAINS.map(({ name, guest, cmdline }) => {
    const { config } = parseDomainConfig(domainText(name, shippedGuest(guest), cmdline), `${name}.cfg`);
    return { config, kernel: images.add(config.kernel!, 'guest') };
  });
  await say('1. Record three domains on one processor: back and front talk over a granted page, ticker keeps time', '');
  const config = sessionConfig(domains, { pcpus: 1 });
  const { session, writer, path, close } = startRecording(config, images, output, 'demo');
  submitWallclock(session.machine.door, DEFAULT_WALLCLOCK_MS);
  const lines: string[] = [];
  session.onConsole(lineCollector((domain, line) => lines.push(`   ${domain.padEnd(6)} │ ${line}`)));
  const progress = new Progress();
  try {
    const result = await recordSession(session, {
      writer,
      maxTicks: 10_000_000_000,
      progress: (ticks, events) => {
        progress.update(() => `   recording: ${grouped(ticks)} ticks, ${grouped(events)} events`);
      },
    });
    progress.done();
    await say(...lines, '', `   ${grouped(result.events)} events in ${grouped(result.ticks)} ticks, kept in ${path}`);
    return { path, result };
  } finally {
    close();
  }
}

/** Preserved when they power off: the back end waits to see in xenstore how its peer left. */
function domainText(name: string, kernel: string, cmdline: string): string {
  const settings = { name, type: 'pvh', kernel, extra: cmdline, on_poweroff: 'preserve' };
  return `${Object.entries(settings)
    .map(([key, value]) => `${key} = "${value}"\n`)
    .join('')}memory = 16\n`;
}

/** @returns the seconds it took, or undefined if it diverged */
async function replayDemo(say: Say, recording: Recording, path: string): Promise<number | undefined> {
  await say('', '2. Replay it from its inputs alone, checking every event and state digest');
  const started = hostSeconds();
  const progress = new Progress();
  const session = new ReplaySession(recording, sessionBuilder(recording, path), { createHash: sha256 });
  while (!session.step(2_000_000)) progress.update(() => `   replaying: ${grouped(session.tick)} ticks`);
  progress.done();
  const { divergence, events, digest } = session.result();
  const seconds = hostSeconds() - started;
  await say('', ...(divergence ? [divergenceText(divergence, XEN_NAMES)] : [`   verified: ${grouped(events)} events`]));
  if (divergence) return undefined;
  await say(`   digest ${digest}`);
  return seconds;
}

/** To the moment the two domains first share memory. */
async function goBack(say: Say, recording: Recording, path: string): Promise<void> {
  const [event] = selectEvents(recording, { kinds: ['grant-map'], limit: 1 }) as Iterable<EventOf<'grant-map'>>;
  if (!event) throw new Error('the demo recorded no grant-map');
  await say(
    '',
    `3. Go back to event ${event.seq}, tick ${grouped(event.tick)}: ${place(event)} is about to map the page of its peer`,
    `   (${event.kind} ${eventDetails(event, XEN_NAMES)})`,
    '',
  );
  const session = new ReplaySession(recording, sessionBuilder(recording, path), { until: event.tick });
  session.run();
  const machine = session.machine!;
  const { engine } = machine;
  const vcpu = machine.xen.find(event.domain)!.vcpus[event.vcpu];
  engine.switchTo(vcpu.slot);
  await say(...registersText(engine).map(indent), '');
  const name = (address: bigint) => symbolIn(machine, event.domain, address);
  await say(...disassemblyText(engine, engine.state.rip, 2, name).map(indent));
  const caller = engine.guarded(() => engine.virtual.read64(engine.state.reg(REG.RSP), true));
  if (caller !== undefined) await say('   and returns to', ...disassemblyText(engine, caller, 5, name).map(indent));
}

async function figures(say: Say, recording: Recording, result: RecordResult, replaySeconds: number): Promise<void> {
  const perEvent = (recording.bytes / result.events).toFixed(1);
  await say(
    '',
    '5. Figures',
    '',
    `   recording  ${result.seconds.toFixed(2)} s; replay with all checks ${replaySeconds.toFixed(2)} s (both with booting the machine)`,
    `   file       ${bytesText(result.bytes)} with the guests in it, ${perEvent} bytes an event; inputs alone ${bytesText(result.inputBytes)}`,
    `   events     ${grouped(result.events)}, ${(result.events / (result.ticks / 1e6)).toFixed(0)} in a million ticks`,
  );
}

/** Cuts console output into lines. */
function lineCollector(line: (domain: string, text: string) => void): (domain: string, bytes: Uint8Array) => void {
  const partial = new Map<string, string>();
  return (domain, bytes) => {
    const lines = ((partial.get(domain) ?? '') + Buffer.from(bytes).toString('latin1')).split('\n');
    partial.set(domain, lines.pop()!);
    for (const text of lines) line(domain, text.trimEnd());
  };
}
