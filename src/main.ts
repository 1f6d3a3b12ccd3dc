#!/usr/bin/env node
/** The command line: `rexen COMMAND`. One file a command under commands/, loaded only when it is asked for. */
import './host/v8.ts';
import { Command, CommanderError } from 'commander';
import { VERSION } from './base/version.ts';
import { STATUS } from './commands/common.ts';
import { quietPipes } from './host/output.ts';

interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  /** Describes the command's arguments and options, and what it does. */
  readonly load: () => Promise<(command: Command) => void>;
}

const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'record',
    summary: 'boot domains and record everything they do',
    load: async () => (await import('./commands/record.ts')).describeRecord,
  },
  {
    name: 'replay',
    summary: 'run a recording again and check every effect',
    load: async () => (await import('./commands/replay.ts')).describeReplay,
  },
  {
    name: 'events',
    summary: 'print the events of a recording',
    load: async () => (await import('./commands/events.ts')).describeEvents,
  },
  {
    name: 'info',
    summary: 'say what a recording is and holds',
    load: async () => (await import('./commands/info.ts')).describeInfo,
  },
  {
    name: 'linux',
    summary: "boot Debian's kernel with busybox, recorded",
    load: async () => (await import('./commands/linux.ts')).describeLinux,
  },
  {
    name: 'debug',
    summary: 'walk through a recording with gdb, backwards too',
    load: async () => (await import('./commands/debug.ts')).describeDebug,
  },
  {
    name: 'who-wrote',
    summary: 'find the last write to an address',
    load: async () => (await import('./commands/who-wrote.ts')).describeWhoWrote,
  },
  {
    name: 'backtrace',
    summary: 'say how a vcpu came to where it is',
    load: async () => (await import('./commands/backtrace.ts')).describeBacktrace,
  },
  {
    name: 'view',
    summary: 'see a recording on the terminal, step with the keys',
    load: async () => (await import('./commands/view.ts')).describeView,
  },
  {
    name: 'when',
    summary: 'find when a condition first holds',
    load: async () => (await import('./commands/when.ts')).describeWhen,
  },
  {
    name: 'diff',
    summary: 'find where two recordings part',
    load: async () => (await import('./commands/diff.ts')).describeDiff,
  },
  {
    name: 'chaos',
    summary: 'run a session irregularly until a race shows',
    load: async () => (await import('./commands/chaos.ts')).describeChaos,
  },
  {
    name: 'pack',
    summary: 'put everything that a recording needs into one file',
    load: async () => (await import('./commands/pack.ts')).describePack,
  },
  {
    name: 'index',
    summary: 'put snapshots into a recording, so that it opens anywhere at once',
    load: async () => (await import('./commands/index-recording.ts')).describeIndex,
  },
  {
    name: 'trim',
    summary: 'leave out the beginning of a recording',
    load: async () => (await import('./commands/trim.ts')).describeTrim,
  },
  {
    name: 'demo',
    summary: 'see the main job done in a few seconds',
    load: async () => (await import('./commands/demo.ts')).describeDemo,
  },
];

async function main(args: readonly string[]): Promise<void> {
  const program = new Command('rexen')
    .description('Xen with a memory: boots Xen guests, records everything, replays it bit for bit.')
    .version(VERSION)
    .exitOverride()
    .addHelpText('after', '\nrexen COMMAND --help says more, with an example.\n\nExample:\n  rexen demo');
  const named = args[0] === 'help' ? args[1] : args[0];
  for (const { name, summary, load } of COMMANDS) {
    const command = program.command(name).summary(summary).exitOverride();
    if (name === named) (await load())(command);
  }
  if (args.length === 0) program.help();
  await program.parseAsync(args, { from: 'user' });
}

quietPipes();
try {
  await main(process.argv.slice(2));
} catch (error) {
  // Commander has said what was wrong with the arguments; everything else is for people too, without a stack.
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? STATUS.OK : STATUS.USAGE;
  } else {
    const message = error instanceof Error ? error.message : String(error);
    // Parts of it may come from a file that someone else made: nothing may steer the terminal.
    process.stderr.write(`rexen: ${message.slice(0, 2000).replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, '?')}\n`);
    if (process.env['REXEN_DEBUG'] && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    process.exitCode = STATUS.ERROR;
  }
}
