/** Builds the machine of a recording again. */
import { loadImages } from '../src/host/images.ts';
import type { Recording } from '../src/log/recording.ts';
import { checkSessionConfig, Session } from '../src/session.ts';
import type { BuildMachine } from './session.ts';

/**
 * @param file path of the recording: images that it does not hold are also looked for beside it.
 * @param sliceTicks for debugging: another slice length than the recorded one.
 * @throws RecordingError for a missing image, RangeError for a configuration that cannot be (when it builds)
 */
export function sessionBuilder(recording: Recording, file: string, sliceTicks?: number): BuildMachine<Session> {
  return ({ header, createLog, inputs }) => {
    const config = checkSessionConfig(header.config);
    const machine = sliceTicks === undefined ? config.machine : { ...config.machine, slice_ticks: sliceTicks };
    return new Session({ config: { ...config, machine }, images: loadImages(recording, file), createLog, inputs });
  };
}
