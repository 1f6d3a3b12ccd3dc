/** What a debugger hears of the engine, and that its listening never shows. */
import { describe, expect, it } from 'vitest';
import type { WatchedBytes } from '../../../src/cpu/engine/debug-taps.ts';
import { startFlat32 } from '../../../src/cpu/system/index.ts';
import { TLB_ENTRY_BYTES, TLB_SET_BYTES } from '../../../src/memory/tlb.ts';
import * as L from '../../../src/cpu/layout.ts';
import { BareMachine } from '../../support/bare-machine.ts';
import { MODES, PAGES, random, randomMachine } from './random-code.ts';

const SEEDS = 10;
const TICKS = 3000;

/** Which pages the TLBs hold, without the host's short cuts: what a guest could find out. */
function translations(m: BareMachine): string {
  const { state } = m.engine;
  const entries: string[] = [];
  for (let at = L.TLB_AREA; at < L.TLB_AREA + TLB_SET_BYTES; at += TLB_ENTRY_BYTES) {
    const i = at >> 2;
    const data = at < L.TLB_AREA + TLB_SET_BYTES - 2 * 256 * 16;
    const words = data ? [0, 1, 5, 6] : [0, 1, 3, 4, 5, 7];
    entries.push(words.map((w) => state.u32[i + w]!).join());
  }
  return entries.join(' ');
}

function everyFrame(m: BareMachine, on: WatchedBytes['on']): WatchedBytes[] {
  return [...m.p2m.entries()].map(([, mfn]) => ({ mfn, offset: 0, length: 4096, on }));
}

describe.each(MODES)('random code in %s mode', (mode) => {
  it('is the same while every read and write is watched', () => {
    let reads = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const plain = randomMachine(seed, mode);
      plain.run(TICKS);
      const watched = randomMachine(seed, mode);
      watched.engine.taps.onRead = () => reads++;
      watched.engine.taps.setWatches(everyFrame(watched, 'access'));
      watched.run(TICKS);
      watched.engine.taps.setWatches([]);
      expect(watched.digest(), `seed ${seed}`).toBe(plain.digest());
      expect(translations(watched), `seed ${seed}, TLBs`).toBe(translations(plain));
      expect(watched.exitLog).toEqual(plain.exitLog);
    }
    expect(reads).toBeGreaterThan(0);
  });

  it('is the same when it is broken off again and again', () => {
    let breaks = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const plain = randomMachine(seed, mode);
      plain.run(TICKS);
      const broken = randomMachine(seed, mode);
      const { taps } = broken.engine;
      const chance = random(seed + 5);
      const maybe = () => {
        if (chance() % 3 !== 0) return;
        breaks++;
        taps.breakOff();
      };
      taps.onRead = maybe;
      taps.onWrite = maybe;
      taps.setWatches(everyFrame(broken, 'access'));
      // A walk that sets an accessed bit may be where it is broken off: then nothing has retired.
      for (let empty = 0; broken.now < TICKS && empty < 5; ) empty = broken.run(TICKS - broken.now) > 0 ? 0 : empty + 1;
      expect(broken.digest(), `seed ${seed}`).toBe(plain.digest());
      expect(broken.exitLog).toEqual(plain.exitLog);
    }
    expect(breaks).toBeGreaterThan(10);
  });
});

/** Flat 32-bit code at 0x1000, with the frame behind `page` watched. */
function flat(code: string, page: number, watch: Omit<WatchedBytes, 'mfn'>): { m: BareMachine; heard: string[] } {
  const m = new BareMachine(PAGES);
  m.memory.write(0x1000, Buffer.from(code.replaceAll(' ', ''), 'hex'));
  startFlat32(m.engine.state, 0x1000, 0);
  m.engine.processor.modeChanged();
  m.engine.state.setReg32(4, 0x9000);
  const heard: string[] = [];
  const { taps } = m.engine;
  taps.onRead = ({ tick }) => heard.push(`read ${tick}`);
  taps.onWrite = ({ tick }) => heard.push(`write ${tick}`);
  taps.onFault = (tick) => heard.push(`fault ${tick}`);
  taps.setWatches([{ mfn: m.p2m.mfn(page), ...watch }]);
  return { m, heard };
}

const WORD = { offset: 0, length: 4 };

describe('reads of watched bytes', () => {
  // mov eax,[5000]; mov eax,[5004]; mov [5000],eax; add [5000],eax; push [5000]; movzx eax, byte [5003]; hlt
  const plain = 'a100500000 a104500000 a300500000 010500500000 ff3500500000 0fb60503500000 f4';

  it('are told with their ticks; a read-modify-write is both', () => {
    const { m, heard } = flat(plain, 5, { ...WORD, on: 'access' });
    m.run(7);
    expect(heard).toEqual(['read 0', 'write 2', 'read 3', 'write 3', 'read 4', 'read 5']);
  });

  it('and writes are told apart', () => {
    const reads = flat(plain, 5, { ...WORD, on: 'read' });
    reads.m.run(7);
    expect(reads.heard).toEqual(['read 0', 'read 3', 'read 4', 'read 5']);
    const writes = flat(plain, 5, WORD);
    writes.m.run(7);
    expect(writes.heard).toEqual(['write 2', 'write 3']);
  });

  it('are seen after fast accesses to the page, and no more when nobody watches', () => {
    // again: mov eax,[5000]; loop again
    const { m, heard } = flat('a100500000 e2f9 f4', 5, { ...WORD, on: 'read' });
    m.engine.taps.setWatches([]);
    m.engine.state.setReg32(1, 100);
    m.run(10);
    expect(heard).toEqual([]);
    m.engine.taps.setWatches([{ mfn: m.p2m.mfn(5), ...WORD, on: 'read' }]);
    m.run(4);
    expect(heard).toEqual(['read 10', 'read 12']);
    m.engine.taps.setWatches([]);
    m.run(10);
    expect(heard).toHaveLength(2);
  });

  it('are told for each iteration of a repeated string instruction, in bulk moves too', () => {
    // mov esi,5000; mov edi,7000; mov ecx,40h; rep movsb; hlt: 64 bytes, of which bytes 20h to 23h are watched
    const { m, heard } = flat('be00500000 bf00700000 b940000000 f3a4 f4', 5, { offset: 0x20, length: 4, on: 'read' });
    m.run(80);
    expect(heard).toEqual([0x20, 0x21, 0x22, 0x23].map((i) => `read ${3 + i}`));
    expect(m.engine.state.reg32(1)).toBe(0);
  });

  it('are told for an access that crosses into the page, on either side', () => {
    // mov eax,[4ffe]; mov eax,[4ffc]; mov eax,[5ffe]; hlt
    const code = 'a1fe4f0000 a1fc4f0000 a1fe5f0000 f4';
    const below = flat(code, 5, { offset: 0, length: 1, on: 'read' });
    below.m.run(4);
    expect(below.heard).toEqual(['read 0']);
    const above = flat(code, 5, { offset: 4095, length: 1, on: 'read' });
    above.m.run(4);
    expect(above.heard).toEqual(['read 2']);
  });

  it('of an instruction that ends in an exception are followed by that', () => {
    // div dword [5000], which is zero
    const { m, heard } = flat('f73500500000 f4', 5, { ...WORD, on: 'read' });
    m.run(1);
    expect(heard[0]).toBe('read 0');
    expect(heard[1]).toBe('fault 0');
  });
});

describe('breaking off', () => {
  it('ends the run right behind the instruction that reads, in the middle of a block', () => {
    const { m } = flat('40 a100500000 40 40 f4', 5, { ...WORD, on: 'read' });
    m.engine.taps.onRead = () => m.engine.taps.breakOff();
    expect(m.engine.run(0 as never, 100)).toBe(2);
    expect(m.engine.state.rip).toBe(0x1006n);
  });

  it('ends it behind one iteration of a repeated instruction', () => {
    // mov esi,5000; mov ecx,20h; rep lodsb; hlt
    const { m } = flat('be00500000 b920000000 f3ac f4', 5, { offset: 3, length: 1, on: 'read' });
    m.engine.taps.onRead = () => m.engine.taps.breakOff();
    expect(m.engine.run(0 as never, 100)).toBe(2 + 4);
    expect(m.engine.state.rip).toBe(0x100an);
    expect(m.engine.state.reg32(1)).toBe(0x20 - 4);
  });

  it('ends it before the instruction of a probe', () => {
    const { m } = flat('40 40 40 40 f4', 5, WORD);
    m.engine.taps.onProbe = (_rip, tick) => {
      if (tick !== 2) m.engine.taps.breakOff();
    };
    m.engine.taps.setProbes([0x1002n, 0x1003n]);
    expect(m.engine.run(0 as never, 100)).toBe(3);
    expect(m.engine.state.rip).toBe(0x1003n);
    m.engine.taps.setProbes([]);
    expect(m.engine.run(3 as never, 1)).toBe(1);
    expect(m.engine.state.rip).toBe(0x1004n);
  });
});
