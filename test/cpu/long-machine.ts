/** Long mode at CPL 0 on a bare machine whose processor offers what a domain's CPUID policy says, as an operating system finds it. */
import * as L from '../../src/cpu/layout.ts';
import { CR0, CR4, REG } from '../../src/cpu/state.ts';
import { startLong64, writeCr4 } from '../../src/cpu/system/index.ts';
import { cpuid } from '../../src/hypervisor/hvm/cpuid.ts';
import type { CpuidPolicy } from '../../src/hypervisor/hvm/cpuid-policy.ts';
import { BareMachine } from '../support/bare-machine.ts';

export const CODE = 0x10000;
export const DATA = 0x14000n;
const PAGES = 32;
const STAR = 0x0010000800000000n;

/** RSI, RDI and RBX point to zeros at DATA; the first pages are mapped to themselves. */
export function machineWith(policy: CpuidPolicy): BareMachine {
  const m = new BareMachine(
    PAGES,
    {},
    {
      offered: policy.offered,
      cpuid: (leaf, subleaf, out) =>
        cpuid(leaf, subleaf, { vcpuId: 0, domainId: 1, policy, osxsave: false, tscOffset: 0n }, out),
    },
  );
  const entry = (gfn: number, index: number, value: number) =>
    m.memory.write(gfn * 4096 + index * 8, Uint8Array.from(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer)));
  for (const gfn of [1, 2, 3]) entry(gfn, 0, ((gfn + 1) << 12) | 7);
  for (let gfn = 0; gfn < PAGES; gfn++) entry(4, gfn, (gfn << 12) | 3);
  const { state: s, processor } = m.engine;
  startLong64(s, BigInt(CODE), 0x1000n);
  s.set64(L.CR0, s.get64(L.CR0) | BigInt(CR0.NE | CR0.MP));
  // An operating system switches on what it finds.
  const wanted = CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE | CR4.FSGSBASE | CR4.PAE;
  writeCr4(processor, BigInt(wanted) & policy.offered.cr4);
  s.set64(L.EFER, s.get64(L.EFER) | (policy.offered.efer & 1n));
  s.set64(L.MSR_STAR, STAR);
  s.set64(L.MSR_LSTAR, BigInt(CODE) + 64n);
  if (policy.offered.cr4 & BigInt(CR4.OSXSAVE)) s.set64(L.XCR0, policy.offered.xcr0);
  for (const n of [REG.RSI, REG.RDI, REG.RBX]) s.setReg(n, DATA);
  processor.modeChanged();
  return m;
}

/** The exceptions that `code` raised, as BareMachine notes them. Behind it, and at LSTAR, stands a loop. */
export function run(m: BareMachine, code: Uint8Array): string[] {
  const s = m.engine.state;
  m.memory.write(CODE, new Uint8Array(128).fill(0x90));
  m.memory.write(CODE, code);
  m.memory.write(CODE + code.length, Uint8Array.of(0xeb, 0xfe));
  m.memory.write(CODE + 64, Uint8Array.of(0xeb, 0xfe));
  s.rip = BigInt(CODE);
  m.run(60);
  return m.exitLog.filter((line) => line.includes('exception')).map((line) => line.replace(/^\d+ /, ''));
}
