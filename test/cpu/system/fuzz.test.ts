/**
 * System instructions on hostile states: random tables, registers and operands in every mode. Nothing but a guest fault may
 * come out, a fault that is not a task's leaves the registers alone, and delivering it must end.
 */
import { describe, expect, it } from 'vitest';
import { FAULT } from '../../../src/cpu/fault.ts';
import * as L from '../../../src/cpu/layout.ts';
import { CR4, REG, SEG } from '../../../src/cpu/state.ts';
import { deliverFault, systemInstructionFor } from '../../../src/cpu/system/index.ts';
import { ROWS } from '../../../src/isa/instruction-table.ts';
import type { InstructionRow } from '../../../src/isa/row.ts';
import { GDT, IDT, Machine, MEMORY_BYTES, TSS } from './machine.ts';

function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state ^ (state >>> 15)) >>> 0;
  };
}

const ESCAPES: Record<string, string> = { '1B': '', '0F': '0f', '0F38': '0f38', '0F3A': '0f3a' };
const hex2 = (n: number): string => (n & 0xff).toString(16).padStart(2, '0');

/** Bytes that decode to `row`, with random prefixes, operands and immediates. */
function encode(row: InstructionRow, next: () => number, mode: number): string {
  let out = row.prefix === '66' || row.prefix === 'f3' || row.prefix === 'f2' ? row.prefix : '';
  if (out === '' && next() % 3 === 0) out += '66';
  if (next() % 5 === 0) out += '67';
  if (mode === 64 && next() % 2 === 0) out += hex2(0x48);
  out += ESCAPES[row.map]! + hex2(row.opcode);
  if (row.exactModrm >= 0) out += hex2(row.exactModrm);
  else if (row.hasModrm) {
    const mod = row.form === 'reg' ? 0xc0 : row.form === 'mem' || next() % 2 === 0 ? 0 : 0xc0;
    const reg = row.digit >= 0 ? row.digit : next() & 7;
    out += hex2(mod | (reg << 3) | (next() & 7));
  }
  for (let i = 0; i < 12; i++) out += hex2(next());
  return out;
}

function randomMachine(next: () => number): Machine {
  const kind = next() % 7;
  const m = new Machine();
  const cpl = next() % 4 === 0 ? 0 : 3;
  const flags = 2 | (next() & 0x247fd5);
  if (kind === 0) m.real();
  else if (kind === 1) m.vm86(next() & 3);
  else if (kind < 5) m.protected32(cpl, flags);
  else m.long64(cpl, flags & ~0x4000);
  const { s } = m;
  if (kind === 6) s.setSegment(SEG.CS, 0x1b, 0n, 0xffffffff, 0xc09b | (cpl << 5));
  // Descriptors and gates of random kinds.
  for (let i = 13; i < 64; i++) {
    const flavour = next() % 3;
    if (flavour === 0) m.gdt(i, next() & 0xffff, next() & 0xfffff, next() & 0xff, next() & 0xf);
    else if (flavour === 1) m.gate(GDT, i, next() & 0x1ff, next() & 0xffff, 0x80 | (next() & 0x7f), next() & 31);
  }
  for (let i = 0; i < 64; i++) {
    if (s.longMode) m.gate64(IDT, i, next() & 0x7f, BigInt(next() & 0xffff), 0x80 | (next() & 0x6f) | 0xe, next() & 7);
    else m.gate(IDT, i, next() & 0x1ff, next() & 0xffff, 0x80 | (next() & 0x7f));
  }
  for (let i = 0; i < 0x80; i += 2) m.mem.put16(TSS + i, next() & 0x1ff);
  for (let n = 0; n < 16; n++) {
    if (n !== REG.RSP && next() % 2 === 0) s.setReg(n, BigInt(next() % 3 === 0 ? next() : next() & 0x1fff));
  }
  if (next() % 8 === 0) s.setReg(REG.RSP, BigInt(next() & 0x3ffff));
  for (let at = Number(s.reg(REG.RSP)) & 0x3fff0, i = 0; i < 24; i++)
    m.mem.put16((at + i * 2) % (MEMORY_BYTES - 2), next() & 0x1ff);
  if (next() % 4 === 0)
    s.set64(
      L.CR4,
      s.get64(L.CR4) | BigInt(next() & (CR4.VME | CR4.PVI | CR4.UMIP | CR4.FSGSBASE | CR4.OSXSAVE | CR4.DE)),
    );
  if (next() % 16 === 0) m.mem.missing.add(next() & 0x1f);
  return m;
}

/** Task switches fault in the new task, IRET opens NMIs: those may leave traces. */
const mayChange = new Set(['JMPF', 'CALLF', 'IRET', 'INT', 'INT3', 'INTO', 'INT1']);

describe('hostile states', () => {
  const rows = ROWS.filter((row) => systemInstructionFor(row) && !row.map.startsWith('V'));
  it('covers the system rows of the table', () => {
    expect(new Set(rows.map((row) => row.mnemonic)).size).toBeGreaterThan(70);
  });
  it('only guest faults come out, and they can be delivered', () => {
    const next = generator(0x5eed);
    let faults = 0;
    let passes = 0;
    let shutdowns = 0;
    for (let i = 0; i < 4_000; i++) {
      const row = rows[next() % rows.length]!;
      const m = randomMachine(next);
      const code = encode(row, next, m.mode);
      let insn: ReturnType<Machine['decode']>;
      try {
        insn = m.decode(code);
      } catch {
        continue;
      }
      if (!systemInstructionFor(insn.row)) continue;
      const before = m.registers();
      try {
        m.run(code);
        passes++;
      } catch (thrown) {
        if (thrown !== FAULT) throw new Error(`${insn.row.mnemonic} ${code}: ${String(thrown)}`, { cause: thrown });
        faults++;
        if (!mayChange.has(insn.row.mnemonic)) expect(m.registers(), `${insn.row.mnemonic} ${code}`).toBe(before);
        deliverFault(m);
        if (m.s.get32(L.ACTIVITY) === 3) shutdowns++;
      }
      expect(m.s.cpl).toBeLessThan(4);
    }
    expect(faults).toBeGreaterThan(400);
    expect(passes).toBeGreaterThan(400);
    expect(shutdowns).toBeGreaterThan(3);
  });
});
