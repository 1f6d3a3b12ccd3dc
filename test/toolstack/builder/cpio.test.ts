import { expect, test } from 'vitest';
import { cpioArchive, FileType } from '../../../src/toolstack/builder/cpio.ts';

/** Reads an archive back by the format's description. */
function read(bytes: Uint8Array): [path: string, mode: number, device: string, data: string][] {
  const text = new TextDecoder('latin1').decode(bytes);
  const found: ReturnType<typeof read> = [];
  for (let at = 0; ; ) {
    expect(text.slice(at, at + 6)).toBe('070701');
    const field = (i: number) => Number.parseInt(text.slice(at + 6 + 8 * i, at + 14 + 8 * i), 16);
    const [size, nameSize] = [field(6), field(11)];
    const path = text.slice(at + 110, at + 110 + nameSize - 1);
    const data = at + Math.ceil((110 + nameSize) / 4) * 4;
    if (path === 'TRAILER!!!') {
      expect(data).toBe(bytes.length);
      return found;
    }
    found.push([path, field(1), `${field(9)}:${field(10)}`, text.slice(data, data + size)]);
    at = data + Math.ceil(size / 4) * 4;
  }
}

test('files, directories, links and devices come back', () => {
  const data = (s: string) => new TextEncoder().encode(s);
  const archive = cpioArchive([
    { path: 'dev', mode: FileType.DIRECTORY | 0o755 },
    { path: 'dev/console', mode: FileType.CHARACTER | 0o600, device: [5, 1] },
    { path: 'init', mode: FileType.FILE | 0o755, data: data('hello') },
    { path: 'link', mode: FileType.LINK | 0o777, data: data('init') },
  ]);
  expect(archive.length % 4).toBe(0);
  expect(read(archive)).toEqual([
    ['dev', 0o040755, '0:0', ''],
    ['dev/console', 0o020600, '5:1', ''],
    ['init', 0o100755, '0:0', 'hello'],
    ['link', 0o120777, '0:0', 'init'],
  ]);
});
