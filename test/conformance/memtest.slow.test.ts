import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { debianImage, testWithImages } from '../support/images.ts';
import { MemtestBoard } from './memtest-board.ts';

/** Ticks between two looks at the screen. */
const LOOK = 500_000;
const MOST_TICKS = 12_000_000_000;

testWithImages(
  'memtest86+ runs tests 0 to 4 of its first pass on 64 MB without an error',
  [debianImage('boot/memtest86+x64.bin')],
  (path) => {
    const board = new MemtestBoard(readFileSync(path), 64);
    const { machine } = board;
    const seen = new Set<number>();
    while (machine.now < MOST_TICKS && !seen.has(5)) {
      expect(machine.run(LOOK), board.screen()).toBe(LOOK);
      const screen = board.screen();
      const test = /Test #(\d+)/.exec(screen);
      if (test) seen.add(Number(test[1]));
      if (test) expect(screen).toMatch(/Errors: 0\s/);
    }
    expect([...seen].sort(), board.screen()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(board.screen()).toMatch(/Pass: {2}0/);
    expect(board.screen()).toContain('Memory  :   64MB');
    expect(board.surprises).toEqual([]);
  },
  900_000,
);
