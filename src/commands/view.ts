/** `rexen view`: a recording on the terminal, to walk through with the keys. */
import type { Command } from 'commander';
import { showScreen } from '../host/terminal-view.ts';
import type { Recording } from '../log/recording.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { Timeline } from '../../replay/timeline.ts';
import { render } from '../../replay/view.ts';
import { EventIndex } from '../../replay/view-index.ts';
import { keysOf } from '../../replay/view-keys.ts';
import { ViewModel } from '../../replay/view-model.ts';
import { STATUS, warnOfEnding, withRecording, XEN_NAMES } from './common.ts';
import { addTimelineOptions, type TimelineArguments } from './timeline.ts';

interface ViewOptions extends TimelineArguments {
  at?: string;
}

export function describeView(command: Command): void {
  addTimelineOptions(command)
    .argument('<file>', 'a recording')
    .description('Shows a recording on the terminal: lanes of time, registers, code, events, console; goes both ways.')
    .option('--at <mark>', 'where to begin: a tick, 1.5s, #EVENT, console:"TEXT", end-1000; default the start')
    .addHelpText(
      'after',
      `
Keys: left and right step an instruction, n and p go to the next and previous event, PgUp and PgDn a part of the lanes,
g asks for a place, + and - zoom the lanes, Tab follows one vcpu after the other, Home and End, q quits.

Example:
  rexen view recordings/demo.rxn`,
    )
    .action(async (file: string, options: ViewOptions) => {
      process.exitCode = await withRecording(file, (recording) => view(recording, file, options));
    });
}

async function view(recording: Recording, file: string, options: ViewOptions): Promise<number> {
  warnOfEnding(recording, file);
  const memory = options.snapshotMemory === undefined ? {} : { memoryLimit: options.snapshotMemory };
  const timeline = new Timeline(recording, sessionBuilder(recording, file), memory);
  const model = new ViewModel(timeline, new EventIndex(recording), { file, names: XEN_NAMES });
  if (options.at !== undefined) model.goTo(options.at);
  await showScreen({
    get ended() {
      return model.ended;
    },
    get busy() {
      return model.busy;
    },
    advance: () => model.advance(),
    input: (text) => {
      for (const key of keysOf(text)) if (!model.ended) model.key(key);
    },
    draw: (size) => render(model.state(size), size),
  });
  return STATUS.OK;
}
