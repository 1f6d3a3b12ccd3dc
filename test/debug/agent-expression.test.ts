import { describe, expect, it } from 'vitest';
import { type AgentWorld, evaluate } from '../../src/debug/agent-expression.ts';

const world: AgentWorld = {
  register: (number) => (number === 5 ? 42n : undefined),
  memory: (address, length) =>
    address === 0x1000n ? 0x8877665544332211n & ((1n << BigInt(8 * length)) - 1n) : undefined,
};
const run = (code: string) => evaluate(Uint8Array.from(Buffer.from(code.replaceAll(' ', ''), 'hex')), world);

describe('agent expressions', () => {
  // Opcodes by the GDB manual, appendix F.
  it.each([
    ['22 05 22 03 02 27', 8n, '5 + 3'],
    ['22 05 22 07 03 16 40 27', 0xfffffffffffffffen, '5 - 7, which is negative'],
    ['22 06 22 07 04 27', 42n, '6 * 7'],
    ['23 ffff 16 10 22 02 05 27', 0n, '-1 / 2, signed'],
    ['23 0064 22 07 08 27', 2n, '100 % 7'],
    ['22 01 22 3f 09 22 3f 0a 27', 0xffffffffffffffffn, '1 << 63 >> 63, signed'],
    ['22 01 22 3f 09 22 3f 0b 27', 1n, '1 << 63 >> 63, unsigned'],
    ['26 0005 22 2a 13 27', 1n, '$reg5 == 42'],
    ['26 0005 22 2b 13 0e 27', 1n, '!($reg5 == 43)'],
    ['23 1000 17 27', 0x11n, 'a byte of memory'],
    ['23 1000 19 27', 0x44332211n, 'four bytes'],
    ['23 1000 1a 2a 10 27', 0x2211n, 'eight bytes, cut to sixteen bits'],
    ['22 ff 16 08 22 01 14 27', 1n, '-1 < 1, signed'],
    ['22 ff 22 01 15 27', 0n, '255 < 1, unsigned'],
    ['22 01 20 0008 22 63 27 22 07 27', 7n, 'a jump that is taken'],
    ['22 00 20 0008 22 63 27 22 07 27', 0x63n, 'one that is not'],
    ['22 01 22 02 2b 03 27', 1n, '1 and 2 swapped, subtracted'],
    ['22 01 28 02 27', 2n, 'dup'],
    ['22 09 22 08 32 01 02 27', 17n, 'pick'],
    ['22 01 22 02 22 03 33 27', 2n, 'rot: a b c to c a b'],
  ])('%s is %s: %s', (code, value) => {
    expect(run(code)).toBe(value);
  });

  it.each([
    ['27', 'an empty stack'],
    ['02 27', 'too few words'],
    ['26 0006 27', 'no such register'],
    ['22 01 17 27', 'no memory there'],
    ['22 01 22 00 06 27', 'a division by zero'],
    ['22 01', 'no end'],
    ['21 0000', 'an endless loop'],
    ['22 01 21 0000', 'a stack that grows'],
    ['ff 27', 'an opcode that there is not'],
    ['22 01 16 ff 27', 'too many bits'],
  ])('%s is undecided: %s', (code) => {
    expect(run(code)).toBeUndefined();
  });
});
