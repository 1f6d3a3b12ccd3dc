import { PAGE_SHIFT, PAGE_SIZE } from '../../memory/frames.ts';
import type { MemoryMapEntry } from '../hypervisor-interface.ts';

/**
 * Guest-physical space of a PVH domain, as libxl lays it out:
 *
 *     0          ── RAM: kernel at its own addresses, then modules, then start_info, each on a page
 *     fc00_0000  ── end of low RAM at most; ACPI information page, ACPI tables, RSDP
 *     fee0_0000  ── local APIC
 *     feff_8000  ── 8 special pages: rings of the store and the console, identity page table, ...
 *     feff_f000
 *     1_0000_0000 ─ RAM that found no place below
 */
export const MMIO_START = 0xfc000000;
export const ACPI_INFO_ADDRESS = 0xfc000000;
export const LAPIC_ADDRESS = 0xfee00000;
const HIGH_MEMORY = 2 ** 32;

/** Guest frames of the special pages (tools/include/xenguest.h, xg_dom_x86.c). */
export const SPECIAL_FIRST = 0xfeff8;
export const SPECIAL_COUNT = 8;
export const SPECIAL = {
  paging: SPECIAL_FIRST,
  access: SPECIAL_FIRST + 1,
  sharing: SPECIAL_FIRST + 2,
  bufioreq: SPECIAL_FIRST + 3,
  xenstore: SPECIAL_FIRST + 4,
  ioreq: SPECIAL_FIRST + 5,
  identityPageTable: SPECIAL_FIRST + 6,
  console: SPECIAL_FIRST + 7,
} as const;

/** XEN_HVM_MEMMAP_TYPE_*, which are E820's. */
export const E820 = { RAM: 1, RESERVED: 2, ACPI: 3 } as const;

/** HVM_PARAM_* of xen/include/public/hvm/params.h that the builder sets. */
export const HVM_PARAM = {
  STORE_PFN: 1,
  STORE_EVTCHN: 2,
  IOREQ_PFN: 5,
  BUFIOREQ_PFN: 6,
  IDENT_PT: 12,
  CONSOLE_PFN: 17,
  CONSOLE_EVTCHN: 18,
  PAGING_RING_PFN: 27,
  MONITOR_RING_PFN: 28,
  SHARING_RING_PFN: 29,
} as const;

export interface RamRange {
  readonly gfn: number;
  readonly pages: number;
}

/** RAM of `bytes` in all: below the hole, and what does not fit above 4 GiB. */
export function ramRanges(bytes: number): RamRange[] {
  const low = Math.min(bytes, MMIO_START);
  const ranges = [{ gfn: 0, pages: low >>> PAGE_SHIFT }];
  if (bytes > low) ranges.push({ gfn: HIGH_MEMORY / PAGE_SIZE, pages: (bytes - low) / PAGE_SIZE });
  return ranges;
}

/** libxl's order: low RAM, special pages, ACPI areas, high RAM. */
export function memoryMap(bytes: number, acpi: readonly { start: number; size: number }[]): MemoryMapEntry[] {
  const [low, high] = ramRanges(bytes).map((r) => ({
    start: r.gfn * PAGE_SIZE,
    size: r.pages * PAGE_SIZE,
    type: E820.RAM,
  }));
  return [
    low!,
    { start: SPECIAL_FIRST * PAGE_SIZE, size: SPECIAL_COUNT * PAGE_SIZE, type: E820.RESERVED },
    ...acpi.map(({ start, size }) => ({ start, size, type: E820.ACPI })),
    ...(high === undefined ? [] : [high]),
  ];
}
