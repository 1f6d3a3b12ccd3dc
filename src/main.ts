#!/usr/bin/env node
/** The command line: `rexen COMMAND`. One file a command under commands/. */
import { Command, CommanderError } from 'commander';
import './host/v8.ts';
import { STATUS, VERSION } from './commands/common.ts';
import { addDemo } from './commands/demo.ts';
import { addEvents } from './commands/events.ts';
import { addInfo } from './commands/info.ts';
import { addRecord } from './commands/record.ts';
import { addReplay } from './commands/replay.ts';

const program = new Command('rexen')
  .description('Xen with a memory: boots Xen guests, records everything, replays it bit for bit.')
  .version(VERSION)
  .exitOverride()
  .configureHelp({ showGlobalOptions: false })
  .addHelpText('after', '\nExample:\n  rexen demo');

addRecord(program);
addReplay(program);
addEvents(program);
addInfo(program);
addDemo(program);

for (const command of program.commands) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  // Commander has said what was wrong with the arguments; everything else is for people too, without a stack.
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? STATUS.OK : STATUS.USAGE;
  } else {
    process.stderr.write(`rexen: ${error instanceof Error ? error.message : String(error)}\n`);
    if (process.env['REXEN_DEBUG'] && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    process.exitCode = STATUS.ERROR;
  }
}
