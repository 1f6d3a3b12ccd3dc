import { describe, expect, it } from 'vitest';
import { MemoryFile, sha256Of } from '../../src/host/files.ts';
import { IMAGE_PIECE_BYTES } from '../../src/log/codec/image.ts';
import {
  type ImageContent,
  openRecording,
  PREAMBLE_BYTES,
  type RecordingHeader,
  RecordingWriter,
} from '../../src/log/recording.ts';

/** A disk that is larger than a frame, with one word where the pieces meet and one at its end. */
const SIZE = 66 * 2 ** 20 + 12;
const word = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const words = [IMAGE_PIECE_BYTES - 4, SIZE - 8];
const disk: ImageContent = {
  length: SIZE,
  read(offset, into) {
    into.fill(0);
    for (const at of words)
      for (const [i, byte] of word.entries()) {
        const to = at + i - offset;
        if (to >= 0 && to < into.length) into[to] = byte;
      }
  },
};
const kernel = new TextEncoder().encode('kernel');
const entry = (name: string, size: number) => ({ name, path: `/${name}`, size, sha256: sha256Of(kernel) });
const header: RecordingHeader = {
  rexen: 'test',
  recorded: '',
  title: 'test',
  config: {},
  images: [entry('kernel', kernel.length), entry('disk', SIZE)],
};

function packed(): Uint8Array {
  const file = new MemoryFile();
  new RecordingWriter(
    file,
    header,
    new Map<number, Uint8Array | ImageContent>([
      [0, kernel],
      [1, disk],
    ]),
  );
  return file.bytes.slice();
}

const offsets = (bytes: Uint8Array): number[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const all: number[] = [];
  for (let at = PREAMBLE_BYTES; at < bytes.length; at += 28 + view.getUint32(at + 12, true)) all.push(at);
  return all;
};

describe('a disk in a recording', () => {
  const bytes = packed();

  it('is read piece by piece, over their borders', () => {
    const recording = openRecording(new MemoryFile(bytes));
    expect(recording.version).toBe(3);
    expect(recording.image(0)).toEqual(kernel);
    const content = recording.imageContent(1)!;
    expect(content.length).toBe(SIZE);
    for (const at of words) {
      const read = new Uint8Array(8);
      content.read(at, read);
      expect(read).toEqual(word);
    }
    expect(sha256Of(content.whole())).toBe(sha256Of(recording.image(1)!));
    // Holes pack well.
    expect(bytes.length).toBeLessThan(30_000);
  });

  it('that was cut is said to be so when it is asked for', () => {
    const all = offsets(bytes);
    for (const cut of [all.at(-1)! + 40, all[4]!]) {
      const recording = openRecording(new MemoryFile(bytes.slice(0, cut)));
      expect(recording.ending.kind).toBe('cut');
      expect(() => recording.imageContent(1)).toThrow(
        /image 1 is not complete \(at byte \d+\)|image 1 is not complete/,
      );
      expect(recording.image(0)).toEqual(kernel);
    }
  });

  it('of one frame is written as before', () => {
    const file = new MemoryFile();
    new RecordingWriter(file, { ...header, images: header.images.slice(0, 1) }, new Map([[0, kernel]]));
    expect(openRecording(new MemoryFile(file.bytes)).version).toBe(1);
  });
});
