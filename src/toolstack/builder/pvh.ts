import { PAGE_SIZE } from '../../memory/frames.ts';
import type { BuildTarget, MemoryMapEntry } from '../hypervisor-interface.ts';
import { gunzip, isGzip, kernelElf } from './bzimage.ts';
import { type ElfImage, parseElf, PT_LOAD } from './elf.ts';
import { type Image, ImageError } from './image.ts';
import { HVM_PARAM, memoryMap, ramRanges, SPECIAL, SPECIAL_COUNT, SPECIAL_FIRST } from './layout.ts';
import { type AcpiArea, buildAcpi } from './acpi.ts';
import { startInfo } from './start-info.ts';
import { hasFeature, readXenNotes, XENFEAT_LINUX_RSDP_UNRESTRICTED, type XenNotes } from './xen-notes.ts';

export interface PvhImage {
  readonly kernel: Image;
  readonly ramdisk?: Image;
  readonly cmdline: string;
}

export interface PvhOptions {
  /** All of the domain's RAM, MiB. */
  readonly memoryMiB: number;
  readonly maxVcpus: number;
  /** The vcpus online at the start, 0 to vcpus - 1. */
  readonly vcpus: number;
  readonly acpi: boolean;
  /** The domain's ports for the store and the console. */
  readonly storePort: number;
  readonly consolePort: number;
  /** Domain whose services map the two rings: 0. */
  readonly serviceDomain: number;
}

export interface BuiltDomain {
  /** Guest-physical address where vcpu 0 starts. */
  readonly entry: number;
  readonly startInfo: number;
  readonly storeGfn: number;
  readonly consoleGfn: number;
  readonly memoryMap: readonly MemoryMapEntry[];
}

/** GNTTAB_RESERVED_CONSOLE and GNTTAB_RESERVED_XENSTORE (xen/include/public/grant_table.h). */
const RESERVED_GRANT = { console: 0, xenstore: 1 } as const;

/**
 * Loads a PVH domain as libxl does: RAM, kernel segments at their physical addresses, the ramdisk on the next page,
 * ACPI tables, special pages, start_info, HVM parameters, the start state of vcpu 0. All checks of the images come
 * before the first page is given to the domain.
 * @throws ImageError for an unusable kernel or one that does not fit, OutOfFrames if the machine has too little memory
 */
export function buildPvh(target: BuildTarget, image: PvhImage, options: PvhOptions): BuiltDomain {
  const memoryBytes = options.memoryMiB * 2 ** 20;
  const elf = parseElf(kernelElf(image.kernel, memoryBytes));
  const notes = readXenNotes(elf);
  const entry = pvhEntry(elf, notes);
  const lowBytes = ramRanges(memoryBytes)[0]!.pages * PAGE_SIZE;
  const kernelEnd = checkSegments(elf, entry, lowBytes, options.memoryMiB);
  const module = image.ramdisk === undefined ? undefined : ramdiskModule(image.ramdisk, lowBytes - kernelEnd);
  const acpi = options.acpi ? buildAcpi(options, rsdpMustBeLow(notes)) : [];
  const map = memoryMap(memoryBytes, acpi);
  const info = startInfo({
    at: kernelEnd + roundUp(module?.length ?? 0),
    cmdline: image.cmdline,
    module: module === undefined ? undefined : { at: kernelEnd, size: module.length },
    rsdp: acpi[0]?.start ?? 0,
    map,
  });
  if (info.at + info.bytes.length > lowBytes) {
    const what = `the kernel, its ramdisk and start information need ${mib(info.at + info.bytes.length)} MiB, but memory = ${options.memoryMiB}; raise memory`;
    throw new ImageError(image.kernel.name, 0, what);
  }
  for (const range of ramRanges(memoryBytes)) target.populate(range.gfn, range.pages);
  target.populate(SPECIAL_FIRST, SPECIAL_COUNT);
  for (const s of elf.segments)
    if (s.type === PT_LOAD) target.memory.write(s.paddr, elf.image.bytes.subarray(s.offset, s.offset + s.fileSize));
  if (module !== undefined) target.memory.write(kernelEnd, module);
  target.memory.write(info.at, info.bytes);
  writeAcpi(target, acpi);
  writeIdentityPageTable(target);
  setParams(target, options);
  target.setMemoryMap(map);
  target.startPvh({ entry, startInfo: info.at });
  return { entry, startInfo: info.at, storeGfn: SPECIAL.xenstore, consoleGfn: SPECIAL.console, memoryMap: map };
}

function pvhEntry(elf: ElfImage, notes: XenNotes): number {
  if (notes.phys32Entry === undefined) {
    const hint =
      notes.entry === undefined ? 'it has no Xen notes for a PV kernel either' : 'its notes are those of a PV kernel';
    throw new ImageError(elf.image.name, 0, `no PHYS32_ENTRY note, so this is no PVH kernel (${hint})`);
  }
  return Number(notes.phys32Entry);
}

/** @returns the page after the last segment */
function checkSegments(elf: ElfImage, entry: number, lowBytes: number, memoryMiB: number): number {
  const loads = elf.segments.filter((s) => s.type === PT_LOAD && s.memSize > 0);
  if (loads.length === 0) throw new ImageError(elf.image.name, 0, 'the kernel has no loadable segment');
  const end = Math.max(...loads.map((s) => s.paddr + s.memSize));
  if (end > lowBytes) {
    const what = `the kernel ends at guest-physical 0x${end.toString(16)} (${mib(end)} MiB), but memory = ${memoryMiB}; raise memory`;
    throw new ImageError(elf.image.name, 0, what);
  }
  if (!loads.some((s) => entry >= s.paddr && entry < s.paddr + s.memSize))
    throw new ImageError(elf.image.name, 0, `PHYS32_ENTRY 0x${entry.toString(16)} is in no loaded segment`);
  return roundUp(end);
}

/**
 * The ramdisk as it is put into memory. libxenguest unpacks one that is gzip as a whole (its last four bytes then tell
 * the length that comes out); everything else, such as a gzip after a cpio, stays as it is.
 */
function ramdiskModule(ramdisk: Image, room: number): Uint8Array {
  const { bytes } = ramdisk;
  if (isGzip(bytes)) {
    const announced = new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 4, 4).getUint32(0, true);
    if (announced <= room) {
      try {
        const unpacked = gunzip(ramdisk, announced);
        if (unpacked.length === announced) return unpacked;
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
      }
    }
  }
  return bytes;
}

/** A Linux without XENFEAT_linux_rsdp_unrestricted looks for the RSDP only where a BIOS would put it. */
function rsdpMustBeLow(notes: XenNotes): boolean {
  return notes.guestOs === 'linux' && !hasFeature(notes, XENFEAT_LINUX_RSDP_UNRESTRICTED);
}

function writeAcpi(target: BuildTarget, areas: readonly AcpiArea[]): void {
  for (const area of areas) {
    const first = Math.floor(area.start / PAGE_SIZE);
    const last = Math.floor((area.start + area.bytes.length - 1) / PAGE_SIZE);
    for (let gfn = first; gfn <= last; gfn++) if (target.memory.p2m.mfn(gfn) < 0) target.populate(gfn, 1);
    target.memory.write(area.start, area.bytes);
  }
}

/** A 32-bit page directory of 4 MiB pages (present, writable, user, accessed, dirty, large), va = pa. */
function writeIdentityPageTable(target: BuildTarget): void {
  const table = new Uint32Array(1024).map((_, i) => (i << 22) | 0xe7);
  target.memory.write(SPECIAL.identityPageTable * PAGE_SIZE, new Uint8Array(table.buffer));
}

function setParams(target: BuildTarget, options: PvhOptions): void {
  const params: readonly (readonly [number, number])[] = [
    [HVM_PARAM.STORE_PFN, SPECIAL.xenstore],
    [HVM_PARAM.BUFIOREQ_PFN, SPECIAL.bufioreq],
    [HVM_PARAM.IOREQ_PFN, SPECIAL.ioreq],
    [HVM_PARAM.CONSOLE_PFN, SPECIAL.console],
    [HVM_PARAM.PAGING_RING_PFN, SPECIAL.paging],
    [HVM_PARAM.MONITOR_RING_PFN, SPECIAL.access],
    [HVM_PARAM.SHARING_RING_PFN, SPECIAL.sharing],
    [HVM_PARAM.IDENT_PT, SPECIAL.identityPageTable * PAGE_SIZE],
    [HVM_PARAM.CONSOLE_EVTCHN, options.consolePort],
    [HVM_PARAM.STORE_EVTCHN, options.storePort],
  ];
  for (const [index, value] of params) target.setParam(index, BigInt(value));
  target.seedGrant(RESERVED_GRANT.console, options.serviceDomain, SPECIAL.console);
  target.seedGrant(RESERVED_GRANT.xenstore, options.serviceDomain, SPECIAL.xenstore);
}

function roundUp(n: number): number {
  return Math.ceil(n / PAGE_SIZE) * PAGE_SIZE;
}

function mib(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
