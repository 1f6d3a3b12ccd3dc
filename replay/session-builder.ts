/** Builds the machine of a recording again. */
import type { EventLog } from '../src/log/append.ts';
import { loadImages } from '../src/host/images.ts';
import { type Recording, RecordingError } from '../src/log/recording.ts';
import { checkSessionConfig, Session } from '../src/session.ts';
import { restoreStored } from '../src/snapshot/stored.ts';
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
    const images = loadImages(recording, file);
    const parts = { config: { ...config, machine }, images, inputs };
    const { start } = header;
    if (!start) return new Session({ ...parts, createLog });
    // What building the session does is on no log: it happened before the recording begins.
    let verifier: EventLog['verifier'];
    const silent: typeof createLog = (now) => {
      const log = createLog(now);
      verifier = log.verifier;
      log.verifier = undefined;
      return log;
    };
    const session = new Session({ ...parts, createLog: silent });
    try {
      restoreStored(
        session,
        start.parts.map((sha256) => images.get(sha256)!.bytes),
      );
    } catch (error) {
      throw new RecordingError(`the snapshot at the start cannot be used: ${(error as Error).message}`);
    }
    if (session.now() !== start.tick || session.log.seq !== start.seq) {
      throw new RecordingError('the snapshot at the start is of another place than the recording says');
    }
    session.log.verifier = verifier;
    return session;
  };
}
