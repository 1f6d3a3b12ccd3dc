import { beforeEach, describe, expect, it } from 'vitest';
import * as L from '../../../src/cpu/layout.ts';
import { CR0, CR4, type CpuState } from '../../../src/cpu/state.ts';
import { type Vector, VectorMachine } from '../../conformance/vector-machine.ts';

const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
const REGS = Object.fromEntries([...NAMES, 'rflags'].map((n) => [n, n === 'rflags' ? '0x202' : '0x20000800']));

/** In generated code, in TypeScript alone, and with VEX. */
const ADDSD = 'f20f58c1';
const HADDPS = 'f20f7cc1';
const VADDPD = 'c5fd58c1';

function vector(bytes: string, mxcsr = 0x1fa0): Vector {
  const xmm = { 0: '3ff00000000000003ff0000000000000', 1: '3ff00000000000007ff000007f800001' };
  const input = { regs: REGS, xmm, mxcsr: `0x${mxcsr.toString(16)}` };
  return {
    id: 'made',
    family: 'made',
    form: 'made',
    bytes,
    rip: '0x10000000',
    in: input,
    out: { rip: '0x10000000' },
    exception: null,
    undefinedFlags: '0x0',
  };
}

/** The exception that `bytes` raises with the control registers changed by `change`, or -1. */
function raisedBy(bytes: string, change: (s: CpuState) => void, mxcsr?: number): number {
  const machine = new VectorMachine();
  change(machine.engine.state);
  machine.engine.processor.modeChanged();
  const first = machine.run(vector(bytes, mxcsr))[0] ?? '';
  mxcsrAfter = machine.engine.state.get32(L.MXCSR);
  const m = /^raised vector (\d+)/.exec(first);
  return m === null ? -1 : Number(m[1]);
}
let mxcsrAfter = 0;

const set = (register: number, bits: number) => (s: CpuState) => s.set32(register, s.get32(register) | bits);
const clear = (register: number, bits: number) => (s: CpuState) => s.set32(register, s.get32(register) & ~bits);

describe('availability of floating point on vectors', () => {
  beforeEach(() => {
    mxcsrAfter = 0;
  });

  it.each([ADDSD, HADDPS, VADDPD])('%s executes where everything is enabled', (bytes) => {
    expect(raisedBy(bytes, () => {})).toBe(-1);
    expect(mxcsrAfter).toBe(0x1fa1);
  });

  it.each([
    ['CR0.EM', set(L.CR0, CR0.EM), 6, 6, -1],
    ['CR0.TS', set(L.CR0, CR0.TS), 7, 7, 7],
    [
      'CR0.TS and no CR4.OSFXSR',
      (s: CpuState) => [set(L.CR0, CR0.TS), clear(L.CR4, CR4.OSFXSR)].map((f) => f(s)),
      6,
      6,
      7,
    ],
    ['no CR4.OSXSAVE', clear(L.CR4, CR4.OSXSAVE), -1, -1, 6],
    ['XCR0 without AVX', (s: CpuState) => s.set64(L.XCR0, 3n), -1, -1, 6],
  ])('%s', (_name, change, addsd, haddps, vaddpd) => {
    expect(raisedBy(ADDSD, change)).toBe(addsd);
    expect(raisedBy(HADDPS, change)).toBe(haddps);
    expect(raisedBy(VADDPD, change)).toBe(vaddpd);
  });

  it.each([ADDSD, HADDPS, VADDPD])(
    '%s: an unmasked exception is #XM, or #UD where CR4.OSXMMEXCPT is clear',
    (bytes) => {
      const unmasked = 0x1f80 & ~0x80;
      expect(raisedBy(bytes, () => {}, unmasked)).toBe(19);
      expect(mxcsrAfter).toBe(unmasked | 1);
      expect(raisedBy(bytes, clear(L.CR4, CR4.OSXMMEXCPT), unmasked)).toBe(6);
      expect(mxcsrAfter).toBe(unmasked | 1);
    },
  );
});
