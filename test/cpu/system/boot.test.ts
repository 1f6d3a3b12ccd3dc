/** The road from real mode to user mode and back on the engine itself: boot.s, block by block and one instruction at a time. */
import { expect, it } from 'vitest';
import * as L from '../../../src/cpu/layout.ts';
import { startReal } from '../../../src/cpu/system/index.ts';
import { BareMachine } from '../../support/bare-machine.ts';

/** boot.s at 0x7c00. */
const PROGRAM = Uint8Array.from(
  `
  fa0f0116e87d0f20c00c010f22c0ea137c080066b810008ed88ec08ed0bc00900000c7050060000011000000c70500a0000007b00000c705
  00b0000007c00000c70500c00000870000000f20e083c8200f22e0b800a000000f22d8b9800000c00f320d010100000f300f20c00d000000
  800f22c0ea7b7c00001800c7042504600000220000000f011c25ee7d000066b848000f00d8b9810000c031c0ba180030000f30b9820000c0
  b81f7d000031d20f30b9840000c0b8000300000f306a2b680088000068020200006a3b488d050c0000005048c74424084300000048cf668c
  c86689042508600000cd80890425106000000f0589042514600000488b0425000000409c48810c24000100009d9090cd810f1f8000000000
  b88080808048cfb811ca0500480f070f20d04889042518600000584889042520600000488304240848cfff0425286000000f21f048890425
  30600000833c25286000000275094881642410fffeffff48cfc704253860000099000000f4668cc8668904253c600000f466662e0f1f8400
  000000000f1f40000000000000000000ffff0000009bcf00ffff00000093cf00ffff0000009baf00ffff00000093cf00ffff000000f3cf00
  0000000000000000ffff000000f3cf00ffff000000fbaf00670000700089000000000000000000005700907d0000ff0f0050000000000000
`
    .replace(/\s/g, '')
    .match(/../g)!,
  (byte) => Number.parseInt(byte, 16),
);
const HANDLERS: [number, number, number][] = [
  // vector, address of int80, done, pf, db, gp in boot.s, access byte
  [0x80, 0x7d18, 0xee],
  [0x81, 0x7d75, 0xee],
  [14, 0x7d27, 0x8e],
  [1, 0x7d42, 0x8e],
  [13, 0x7d69, 0x8e],
];

function boot(maxBlock: number): BareMachine {
  const m = new BareMachine(64, { maxBlock });
  m.memory.write(0x7c00, PROGRAM);
  for (const [vector, offset, access] of HANDLERS) {
    m.memory.writeU32(0x5000 + vector * 16, (0x18 << 16) | offset);
    m.memory.writeU32(0x5004 + vector * 16, access << 8);
  }
  m.memory.writeU64(0x7004, 0x8f00n);
  startReal(m.engine.state, 0, 0x7c00);
  m.engine.processor.modeChanged();
  m.run(2000);
  return m;
}

it.each([1, 64])('real, protected, long, user, INT, SYSCALL, #PF, single-step; blocks of %i', (maxBlock) => {
  const m = boot(maxBlock);
  const at = (offset: number): number => Number(m.memory.readU64(0x6000 + offset) & 0xffffffffn);
  expect([at(0), at(4)]).toEqual([0x11, 0x22]);
  expect(at(8)).toBe(0x43);
  expect([at(0x10), at(0x14)]).toEqual([0x80808080, 0x5ca11]);
  expect([at(0x18), at(0x20)]).toEqual([0x40000000, 4]);
  expect([at(0x28), at(0x30)]).toEqual([2, 0xffff4ff0]);
  expect([at(0x38), at(0x3c)]).toEqual([0, 0x18]);
  expect(m.exitLog).toEqual(['62 exception 14 4', '73 exception 1 -1', '81 exception 1 -1', '91 halt']);
  expect([m.engine.state.get32(L.ACTIVITY), m.now]).toEqual([1, 92]);
});
