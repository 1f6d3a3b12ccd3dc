import { describe, expect, it } from 'vitest';
import type { ReadLinear } from '../../../src/debug/symbols/linear-reader.ts';
import { SortedSymbols } from '../../../src/debug/symbols/symbol-table.ts';
import { endsInCall, unwind } from '../../../src/debug/symbols/unwind.ts';

const CODE = 0x1000n;
const STACK = 0x8000n;

/** Code with a call in each of three functions, and a stack of words. */
function memory(words: readonly bigint[]): ReadLinear {
  const bytes = new Uint8Array(0x8000 + 4096);
  for (const at of [0x1010, 0x1110, 0x1210]) bytes.set([0xe8, 0, 0, 0, 0], at); // call; returns to …15
  const view = new DataView(bytes.buffer);
  for (const [i, word] of words.entries()) view.setBigUint64(Number(STACK) + 8 * i, word, true);
  return (linear, length) => {
    const at = Number(linear);
    return linear >= CODE && at + length <= bytes.length ? bytes.slice(at, at + length) : undefined;
  };
}

const symbols = new SortedSymbols(
  'elf',
  ['inner', 'middle', 'outer'].map((name, i) => ({ name, address: CODE + BigInt(0x100 * i), size: 0x80n, code: true })),
);

function state(rip: bigint, rbp: bigint, bits: 32 | 64 = 64) {
  const zero = { r10: 0n, r13: 0n, rdi: 0n, rdx: 0n };
  return { rip, rsp: STACK, rbp, ...zero, bits, user: false };
}

const shown = (frames: ReturnType<typeof unwind>) => frames.map(({ symbol, by }) => `${symbol} ${by}`);

describe('unwinding', () => {
  it('follows frame pointers', () => {
    const words = [0n, 7n, STACK + 0x20n, 0x1115n, 0n, 0x1215n];
    const frames = unwind(state(0x1040n, STACK + 0x10n), memory(words), symbols);
    expect(shown(frames)).toEqual(['inner+0x40 rip', 'middle+0x15 frame-pointer', 'outer+0x15 frame-pointer']);
  });

  it('finds the caller of a function that has no frame yet', () => {
    const words = [0x1115n, 0n, STACK + 0x20n, 0x1215n];
    const frames = unwind(state(CODE, STACK + 0x10n), memory(words), symbols);
    expect(shown(frames)).toEqual(['inner rip', 'middle+0x15 frame-pointer', 'outer+0x15 frame-pointer']);
  });

  it('scans the stack where RBP is no frame pointer, and takes only what is behind a call', () => {
    const words = [0x1020n, 0x1115n, 0xdeadn, 0x1110n, 0x1215n, 0x1195n];
    const frames = unwind(state(0x1040n, 5n), memory(words), symbols);
    expect(shown(frames)).toEqual(['inner+0x40 rip', 'middle+0x15 scan', 'outer+0x15 scan']);
  });

  it('ends at the depth asked for, and with a stack that is not mapped', () => {
    const words = Array.from({ length: 100 }, () => 0x1115n);
    expect(unwind(state(0x1040n, 5n), memory(words), symbols, 4)).toHaveLength(4);
    expect(unwind({ ...state(0x1040n, 5n), rsp: 0xffff_8000_0000_0000n }, memory([]), symbols)).toHaveLength(1);
    // A chain that leads back into itself.
    const loop = [0n, 0n, STACK + 0x10n, 0x1115n];
    expect(shown(unwind(state(0x1040n, STACK + 0x10n), memory(loop), symbols))).toHaveLength(2);
  });

  it('knows calls of all lengths', () => {
    const calls = [
      [0xff, 0xd0],
      [0xff, 0x50, 0x08],
      [0xff, 0x14, 0x25, 0, 0, 0, 0],
      [0xe8, 1, 2, 3, 4],
      [0x41, 0xff, 0xd4],
      [0x41, 0xff, 0x94, 0x24, 0, 1, 0, 0],
    ];
    for (const call of calls) {
      const bytes = Uint8Array.from([...new Array(8 - call.length).fill(0x90), ...call]);
      expect(endsInCall(bytes, 64), call.join(' ')).toBe(true);
    }
    expect(endsInCall(Uint8Array.from([0x90, 0x90, 0xe8, 1, 2, 3, 4, 0x90]), 64)).toBe(false);
    expect(endsInCall(new Uint8Array(8).fill(0x90), 64)).toBe(false);
    expect(endsInCall(Uint8Array.from([0x90, 0xff, 0xe0]), 64)).toBe(false); // jmp rax
  });
});
