/**
 * As little of a PC as memtest86+ needs: RAM with the VGA's text in it, an interval timer's channel 2, a keyboard that
 * has a few keys to give, and everything else absent (no PCI devices, no ACPI tables, no local APIC, serial ports that answer ones).
 */
import { Exit } from '../../src/cpu/exits.ts';
import * as L from '../../src/cpu/layout.ts';
import { startLong64 } from '../../src/cpu/system/index.ts';
import { cpuid } from '../../src/hypervisor/hvm/cpuid.ts';
import { cpuidPolicy } from '../../src/hypervisor/hvm/cpuid-policy.ts';
import { BareMachine } from '../support/bare-machine.ts';

const PAGES_PER_MIB = 256;
const LOAD = 0x100000;
const PAGE_TABLES = 0x80000;
const GDT = 0x87000;
const ZERO_PAGE = 0x90000;
const COMMAND_LINE = 0x91000;
const SCREEN = 0xb8000;
/** The interval timer counts at 1.193182 MHz; a tick is a nanosecond. */
const PIT_PER_TICK = 1.193182e-3;
/** What someone types: the configuration menu, its test selection, "add all tests", out of both, and Enter where it asks for it. */
const [F1, F5, F10, ENTER] = [0x3b, 0x3f, 0x44, 0x1c];
const TYPED = [F1, F1, F5, F10, F10, ENTER];
const RELEASED = 0x80;
/** So often is the keyboard asked before someone presses a key. */
const PATIENCE = 5;

export class MemtestBoard {
  readonly machine: BareMachine;
  /** What came that none of this should cause. */
  readonly surprises: string[] = [];
  readonly #keys = TYPED.flatMap((key) => [key, key | RELEASED]);
  #asked = 0;
  #gate = 0;
  #latch = -1;
  #count = 0xffff;
  #started = 0;

  /** @param image memtest86+x64.bin, entered by the 64-bit Linux boot protocol (Documentation/arch/x86/boot.rst) */
  constructor(image: Uint8Array, mib: number) {
    this.machine = new BareMachine(
      mib * PAGES_PER_MIB,
      {},
      {
        cpuid: (leaf, subleaf, out) => {
          const who = { vcpuId: 0, domainId: 0, policy: cpuidPolicy(), osxsave: false, tscOffset: 0n };
          if (leaf >>> 28 === 4) Object.assign(out, { eax: 0, ebx: 0, ecx: 0, edx: 0 });
          else cpuid(leaf, subleaf, who, out);
        },
        portRead: (port, size) => this.#in(port, size),
        portWrite: (port, _, value) => {
          this.#out(port, value);
          return Exit.CONTINUE;
        },
        exception: (vector, _, cr2) => void this.surprises.push(`exception ${vector}, cr2 ${cr2.toString(16)}`),
        tripleFault: () => void this.surprises.push('triple fault'),
      },
    );
    this.#load(image, mib);
  }

  /** The screen's 25 lines. */
  screen(): string {
    const cells = Buffer.from(this.machine.memory.read(SCREEN, 4000).filter((_, i) => i % 2 === 0));
    const line = (y: number): string => cells.subarray(y * 80, y * 80 + 80).toString('latin1');
    return Array.from({ length: 25 }, (_, y) => line(y).trimEnd()).join('\n');
  }

  #elapsed(): number {
    return Math.floor((this.machine.engine.now() - this.#started) * PIT_PER_TICK);
  }

  #in(port: number, size: number): number {
    if (port === 0x61) return this.#gate | (this.#elapsed() >= this.#count ? 0x20 : 0);
    if (port === 0x64) return this.#keys.length > 0 && ++this.#asked > PATIENCE ? 1 : 0;
    if (port === 0x60) return this.#keys.shift() ?? 0;
    return 0xffffffff >>> (32 - 8 * size);
  }

  #out(port: number, value: number): void {
    if (port === 0x61) this.#gate = value & 3;
    if (port !== 0x42) return;
    // Low byte, then high byte starts the count.
    if (this.#latch < 0) this.#latch = value;
    else {
      this.#count = this.#latch | (value << 8);
      this.#latch = -1;
      this.#started = this.machine.engine.now();
    }
  }

  #load(image: Uint8Array, mib: number): void {
    const { memory, engine } = this.machine;
    memory.write(LOAD, image.subarray(((image[0x1f1] || 4) + 1) * 512));
    memory.write(ZERO_PAGE, zeroPage(image, mib));
    const table = (at: number, entry: (i: number) => bigint): void =>
      memory.write(at, new Uint8Array(BigUint64Array.from({ length: 512 }, (_, i) => entry(i)).buffer));
    table(PAGE_TABLES, (i) => (i === 0 ? BigInt(PAGE_TABLES + 0x1007) : 0n));
    table(PAGE_TABLES + 0x1000, (i) => (i < 4 ? BigInt(PAGE_TABLES + 0x2007 + i * 0x1000) : 0n));
    for (let k = 0; k < 4; k++) table(PAGE_TABLES + 0x2000 + k * 0x1000, (i) => (BigInt(k * 512 + i) << 21n) | 0x87n);
    memory.write(GDT, new Uint8Array(BigUint64Array.of(0n, 0n, 0x00af9b000000ffffn, 0x00cf93000000ffffn).buffer));
    const s = engine.state;
    startLong64(s, BigInt(LOAD + 0x200), BigInt(PAGE_TABLES));
    s.set64(L.GDTR_BASE, BigInt(GDT));
    s.set32(L.GDTR_LIMIT, 31);
    s.u16[(L.SEGMENT + L.SEG_STRIDE) >> 1] = 0x10;
    s.setReg(4, 0x7fff0n);
    s.setReg(6, BigInt(ZERO_PAGE));
    engine.processor.modeChanged();
  }
}

/** Linux's boot parameters: text mode of 80 by 25, the setup header, two ranges of RAM. */
function zeroPage(image: Uint8Array, mib: number): Uint8Array {
  const page = new Uint8Array(4096);
  const view = new DataView(page.buffer);
  page.set(image.subarray(0x1f1, 0x290), 0x1f1);
  page[0x06] = 3;
  page[0x07] = 80;
  page[0x0e] = 25;
  page[0x0f] = 1;
  view.setUint16(0x10, 16, true);
  page[0x210] = 0xff;
  view.setUint32(0x228, COMMAND_LINE, true);
  page[0x1e8] = 2;
  const ram = [
    [0, 0x9f000],
    [LOAD, (mib - 1) << 20],
  ] as const;
  for (const [i, [start, size]] of ram.entries()) {
    view.setBigUint64(0x2d0 + 20 * i, BigInt(start), true);
    view.setBigUint64(0x2d8 + 20 * i, BigInt(size), true);
    view.setUint32(0x2e0 + 20 * i, 1, true);
  }
  return page;
}
