/** What a recording is and holds: the data behind `rexen info`. */
import type { KindBytes } from './codec/batch.ts';
import { FRAME_HEADER_BYTES } from './codec/frame.ts';
import { grouped } from './print.ts';
import { KIND_NAMES, type KindName } from './kinds.ts';
import { LAYOUT_BY_NUMBER, RECORD_WORDS } from './record.ts';
import type { Ending, ImageEntry, Recording } from './recording.ts';

export interface KindInfo {
  readonly count: number;
  /** Bytes of the file that the kind's events account for, rounded: its share of each compressed batch. */
  readonly bytes: number;
}

export interface RecordingInfo {
  readonly format: number;
  readonly rexen: string;
  readonly title: string;
  readonly recorded: string;
  readonly images: readonly ImageEntry[];
  readonly config: unknown;
  /** Tick of the last event. */
  readonly ticks: number;
  readonly events: number;
  readonly inputs: number;
  readonly kinds: Partial<Record<KindName, KindInfo>>;
  /** Size of the file; of its frames of inputs; of its frames of effects. */
  readonly bytes: number;
  readonly inputBytes: number;
  readonly effectBytes: number;
  /** Input bytes for each 1,000 ticks. */
  readonly inputBytesPer1000Ticks: number;
  /** Snapshots inside, and their bytes in the file. */
  readonly snapshots: { readonly count: number; readonly bytes: number; readonly problem: string | undefined };
  /** Ends cleanly, or where and why not. */
  readonly ending: Ending;
  /** Of a recording that ends cleanly. */
  readonly digest: string | undefined;
}

/** Reads all of a recording's batches. @throws RecordingError for one that cannot be read. */
export function recordingInfo(recording: Recording): RecordingInfo {
  const { header, ending } = recording;
  const counts = new Map<number, number>();
  const bytes = new Map<number, number>();
  let inputs = 0;
  let effectBytes = 0;
  for (const [i, entry] of recording.batches.entries()) {
    inputs += entry.inputs;
    const end = recording.batchEnd(i);
    effectBytes += end - entry.effectsAt;
    const raw: KindBytes = new Map();
    const { words, count } = recording.readBatch(entry, raw);
    for (let k = 0; k < count; k++) {
      const kind = words[k * RECORD_WORDS] & 0xff;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    const isInput = (kind: number) => LAYOUT_BY_NUMBER[kind]!.input;
    share(raw, bytes, (kind) => !isInput(kind), end - entry.effectsAt);
    if (entry.inputsAt >= 0) share(raw, bytes, isInput, entry.effectsAt - entry.inputsAt);
  }
  const kinds: Partial<Record<KindName, KindInfo>> = {};
  for (const name of KIND_NAMES) {
    const number = LAYOUT_BY_NUMBER.findIndex((layout) => layout?.name === name);
    const count = counts.get(number);
    if (count) kinds[name] = { count, bytes: Math.round(bytes.get(number) ?? 0) };
  }
  const ticks = ending.kind === 'clean' ? ending.totals.lastTick : recording.lastTick;
  return {
    format: recording.version,
    rexen: header?.rexen ?? '',
    title: header?.title ?? '',
    recorded: header?.recorded ?? '',
    images: header?.images ?? [],
    config: header?.config,
    ticks,
    events: recording.events,
    inputs,
    kinds,
    bytes: recording.bytes,
    inputBytes: recording.inputBytes,
    effectBytes,
    inputBytesPer1000Ticks: ticks > 0 ? (recording.inputBytes * 1000) / ticks : 0,
    snapshots: {
      count: recording.snapshots.length,
      bytes: recording.snapshots
        .flatMap(({ frames }) => frames)
        .reduce((sum, { stored }) => sum + FRAME_HEADER_BYTES + stored, 0),
      problem: recording.snapshotProblem && snapshotProblemText(recording.snapshotProblem),
    },
    ending,
    digest: ending.kind === 'clean' ? ending.totals.digest : undefined,
  };
}

/** Distributes the `stored` bytes of a frame over the kinds in it, by what they took before compression. */
function share(raw: KindBytes, into: Map<number, number>, belongs: (kind: number) => boolean, stored: number): void {
  let total = 0;
  for (const [kind, size] of raw) if (belongs(kind)) total += size;
  for (const [kind, size] of raw) {
    if (belongs(kind)) into.set(kind, (into.get(kind) ?? 0) + (stored * size) / total);
  }
}

/** What is wrong with snapshots in a recording. */
export function snapshotProblemText({ offset, problem }: NonNullable<Recording['snapshotProblem']>): string {
  const where = problem.includes(`byte ${offset}`) ? '' : ` at byte ${offset}`;
  return `a snapshot in the recording is damaged${where} (${problem}); it and those behind it are not used`;
}

/** How a recording ends, in a sentence. */
export function endingText(info: Pick<RecordingInfo, 'ending' | 'ticks' | 'events'>): string {
  const goes = `goes to tick ${grouped(info.ticks)}, ${grouped(info.events)} events`;
  switch (info.ending.kind) {
    case 'clean':
      return `ends cleanly; ${goes}`;
    case 'cut':
      return `was cut at byte ${info.ending.offset}; ${goes}`;
    default:
      return `is damaged (${info.ending.problem}); before that it ${goes}`;
  }
}
