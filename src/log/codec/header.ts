/** The header of a recording: what it says, and whether this rexen can understand the events behind it. */
import { KIND_NAMES, KINDS, type KindSpec } from '../kinds.ts';
import { RecordingError } from './error.ts';

/** A file that the session was started from: a kernel, a ramdisk. */
export interface ImageEntry {
  readonly name: string;
  /** Where it was, for those that are not embedded. */
  readonly path: string;
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
  /** The content lies in the recording. Set by the writer. */
  readonly embedded?: boolean;
}

/** Of a recording that begins at a snapshot: where, and the images that hold it. */
export interface RecordingStart {
  /** Events before it, which the recording does not have. */
  readonly seq: number;
  readonly tick: number;
  /** SHA-256 of the parts, in order. */
  readonly parts: readonly string[];
}

export interface RecordingHeader {
  /** Version of the rexen that recorded. */
  readonly rexen: string;
  /** Host time at the start, ISO 8601. For people; nothing depends on it. */
  readonly recorded: string;
  readonly title: string;
  /** The machine's configuration, as its constructor takes it. Plain JSON. */
  readonly config: unknown;
  readonly images: readonly ImageEntry[];
  readonly start?: RecordingStart;
}

/** Kinds as they stand in a recording: `{ name: [number, 'field:type …'] }`. */
export function kindTable(): Record<string, [number, string]> {
  return Object.fromEntries(
    KIND_NAMES.map((name) => {
      const spec: KindSpec = KINDS[name];
      const fields = Object.entries(spec.fields).map(
        ([field, type]) => `${field}:${typeof type === 'string' ? type : type.join('|')}`,
      );
      return [name, [spec.number, `${spec.door} ${fields.join(' ')}`.trim()]];
    }),
  );
}

const MAX_IMAGES = 256;

/** Parses and checks the header's JSON. @throws RecordingError if it is malformed or an event kind has changed. */
export function checkHeader(bytes: Uint8Array, offset: number): RecordingHeader {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new RecordingError('the header is not JSON', offset);
  }
  if (!isRecord(value) || !Array.isArray(value['images']) || value['images'].length > MAX_IMAGES) {
    throw new RecordingError('malformed header', offset);
  }
  for (const text of ['rexen', 'recorded', 'title']) {
    if (typeof value[text] !== 'string') throw new RecordingError(`the header lacks "${text}"`, offset);
  }
  const images = value['images'].map((image) => checkImage(image, offset));
  checkKinds(value['kinds'], offset);
  return {
    rexen: value['rexen'] as string,
    recorded: value['recorded'] as string,
    title: value['title'] as string,
    config: value['config'],
    images,
    ...(value['start'] === undefined ? {} : { start: checkStart(value['start'], images, offset) }),
  };
}

function checkStart(value: unknown, images: readonly ImageEntry[], offset: number): RecordingStart {
  const { seq, tick, parts } = isRecord(value) ? value : {};
  const count = (each: unknown): each is number => Number.isSafeInteger(each) && (each as number) >= 0;
  const known = (part: unknown) => images.some(({ sha256, embedded }) => embedded && sha256 === part);
  if (!count(seq) || !count(tick) || !Array.isArray(parts) || parts.length === 0 || !parts.every(known)) {
    throw new RecordingError('malformed place of the snapshot in the header', offset);
  }
  return { seq, tick, parts: parts as string[] };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkImage(image: unknown, offset: number): ImageEntry {
  if (
    !isRecord(image) ||
    typeof image['name'] !== 'string' ||
    typeof image['path'] !== 'string' ||
    !Number.isSafeInteger(image['size']) ||
    !/^[0-9a-f]{64}$/.test(String(image['sha256']))
  ) {
    throw new RecordingError('malformed image table in the header', offset);
  }
  return {
    name: image['name'],
    path: image['path'],
    size: image['size'] as number,
    sha256: image['sha256'] as string,
    embedded: image['embedded'] === true,
  };
}

/** Kinds may have been added since, and names to the end of enumerations; nothing else. */
function checkKinds(recorded: unknown, offset: number): void {
  if (!isRecord(recorded)) throw new RecordingError('the header lacks the table of event kinds', offset);
  const ours = kindTable();
  for (const [name, entry] of Object.entries(recorded)) {
    const [number, fields] = Array.isArray(entry) ? (entry as unknown[]) : [];
    const known = Object.hasOwn(ours, name) ? ours[name] : undefined;
    if (!known || known[0] !== number || !compatible(String(fields), known[1])) {
      throw new RecordingError(
        `events of kind "${name.slice(0, 40)}" are not what this rexen knows under that name`,
        offset,
        'use the rexen that recorded it',
      );
    }
  }
}

function compatible(recorded: string, known: string): boolean {
  if (recorded === known) return true;
  const [a, b] = [recorded.split(' '), known.split(' ')];
  return (
    a.length === b.length &&
    a.every((field, i) => field === b[i] || (field.includes('|') && b[i].startsWith(`${field}|`)))
  );
}
