import { PAGE_SIZE } from '../../memory/frames.ts';
import { dsdtCode } from './dsdt.ts';
import { ACPI_INFO_ADDRESS, LAPIC_ADDRESS } from './layout.ts';

/** Bytes to put at a guest-physical address, and the extent that the memory map tells of. */
export interface AcpiArea {
  readonly start: number;
  readonly size: number;
  readonly bytes: Uint8Array;
}

export interface AcpiCpus {
  readonly maxVcpus: number;
  /** Online at the start: 0 to vcpus - 1. */
  readonly vcpus: number;
}

/**
 * ACPI 5 tables of a PVH domain, where libxl puts them (libxl_x86_acpi.c, libacpi):
 *
 *     fc000000 information page (what the DSDT of Xen reads: cpu count, addresses in the MADT)
 *     fc001000 FACS    fc001040 DSDT    fc007ce0 FADT 1    fc007d60 FADT 5    fc007e70 MADT, XSDT, RSDT
 *     next page: RSDP, 64 bytes (or at fffc0 for a Linux that looks for it only there)
 *
 * The DSDT here declares the domain's own processors only, so it is shorter than Xen's; the tables behind it keep Xen's
 * addresses.
 */
const TABLES = ACPI_INFO_ADDRESS + PAGE_SIZE;
const FACS = TABLES;
const DSDT = TABLES + 0x40;
const DSDT_ROOM = 0x6c9b;
const FADT_1 = 0xfc007ce0;
const FADT_5 = 0xfc007d60;
const MADT = 0xfc007e70;
const RSDP_BYTES = 64;
const LOW_RSDP = 0x100000 - RSDP_BYTES;
const HEADER_BYTES = 36;
const FADT_1_BYTES = 116;
const FADT_5_BYTES = 268;
const FACS_BYTES = 64;

/** @returns areas in libxl's order: RSDP, information page, tables */
export function buildAcpi(cpus: AcpiCpus, rsdpLow: boolean): AcpiArea[] {
  const madt = madtTable(cpus);
  // libacpi reserves room for an IO-APIC and 16 overrides that a PVH guest does not get.
  const xsdtAt = align16(MADT + 44 + 16 * 10 + 12 + 8 * cpus.maxVcpus);
  const xsdt = table('XSDT', 1, u64s([FADT_5, MADT]));
  const rsdtAt = align16(xsdtAt + xsdt.length);
  const rsdt = table('RSDT', 1, u32s([FADT_1, MADT]));
  const pages = Math.ceil((rsdtAt + rsdt.length - TABLES) / PAGE_SIZE);
  const area = new Uint8Array(pages * PAGE_SIZE);
  const dsdt = dsdtTable(cpus);
  if (dsdt.length > DSDT_ROOM) throw new RangeError(`DSDT of ${dsdt.length} bytes for ${cpus.maxVcpus} vcpus`);
  const put = (at: number, bytes: Uint8Array): void => area.set(bytes, at - TABLES);
  put(FACS, facs());
  put(DSDT, dsdt);
  put(FADT_1, fadt(1, FADT_1_BYTES));
  put(FADT_5, fadt(5, FADT_5_BYTES));
  put(MADT, madt);
  put(xsdtAt, xsdt);
  put(rsdtAt, rsdt);
  const rsdpAt = rsdpLow ? LOW_RSDP : TABLES + pages * PAGE_SIZE;
  return [
    { start: rsdpAt, size: RSDP_BYTES, bytes: rsdp(rsdtAt, xsdtAt) },
    { start: ACPI_INFO_ADDRESS, size: PAGE_SIZE, bytes: information(cpus) },
    { start: TABLES, size: area.length, bytes: area },
  ];
}

/** struct acpi_info: 2 cpu count (u16), 12 address of the MADT's checksum, 16 of its first processor. */
function information(cpus: AcpiCpus): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  const view = new DataView(page.buffer);
  view.setUint16(2, cpus.maxVcpus, true);
  view.setUint32(12, MADT + 9, true);
  view.setUint32(16, MADT + 44, true);
  return page;
}

/** ACPI 6.2 section 5.2.5.3: revision 2. */
function rsdp(rsdt: number, xsdt: number): Uint8Array {
  const bytes = new Uint8Array(RSDP_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii('RSD PTR '), 0);
  bytes.set(ascii('Xen'), 9);
  bytes[15] = 2;
  view.setUint32(16, rsdt, true);
  view.setUint32(20, 36, true);
  view.setBigUint64(24, BigInt(xsdt), true);
  bytes[8] = checksum(bytes.subarray(0, 20));
  bytes[32] = checksum(bytes.subarray(0, 36));
  return bytes;
}

/** Section 5.2.10. */
function facs(): Uint8Array {
  const bytes = new Uint8Array(FACS_BYTES);
  bytes.set(ascii('FACS'), 0);
  bytes[4] = FACS_BYTES;
  bytes[32] = 1;
  return bytes;
}

/** Ports of the fixed hardware: ACPI_*_ADDRESS_V1 of xen/include/public/hvm/ioreq.h. */
const PM1A_EVENT = 0xb000;
const PM1A_CONTROL = 0xb004;
const GPE0 = 0xafe0;

/** Section 5.2.9; without the PM timer, buttons, VGA and RTC, which a PVH guest does not have. */
function fadt(revision: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  const u16 = (at: number, value: number): void => view.setUint16(at, value, true);
  const u32 = (at: number, value: number): void => view.setUint32(at, value, true);
  const ioPort = (at: number, bits: number, port: number): void => {
    bytes[at] = 1;
    bytes[at + 1] = bits;
    u32(at + 4, port);
  };
  u32(36, FACS);
  u32(40, DSDT);
  u16(46, 9);
  u32(56, PM1A_EVENT);
  u32(64, PM1A_CONTROL);
  u32(80, GPE0);
  bytes[88] = 4;
  bytes[89] = 2;
  bytes[92] = 4;
  u16(96, 0x0fff);
  u16(98, 0x0fff);
  const WBINVD = 1 << 0;
  const PROC_C1 = 1 << 2;
  const NO_BUTTONS = (1 << 4) | (1 << 5);
  const FIXED_RTC = 1 << 6;
  const TIMER_32 = 1 << 8;
  const PLATFORM_CLOCK = 1 << 15;
  u32(112, WBINVD | PROC_C1 | FIXED_RTC | TIMER_32 | PLATFORM_CLOCK | (revision > 1 ? NO_BUTTONS : 0));
  if (revision > 1) {
    const NO_VGA = 1 << 2;
    const NO_CMOS_RTC = 1 << 5;
    u16(109, NO_VGA | NO_CMOS_RTC);
    ioPort(116, 8, 0xcf9);
    bytes[128] = 6;
    view.setBigUint64(132, BigInt(FACS), true);
    view.setBigUint64(140, BigInt(DSDT), true);
    ioPort(148, 32, PM1A_EVENT);
    ioPort(172, 16, PM1A_CONTROL);
  }
  return header('FACP', revision, bytes);
}

/** Section 5.2.12: one local APIC a vcpu, APIC id twice the vcpu's number. */
function madtTable({ maxVcpus, vcpus }: AcpiCpus): Uint8Array {
  const bytes = new Uint8Array(44 + 8 * maxVcpus);
  const view = new DataView(bytes.buffer);
  view.setUint32(36, LAPIC_ADDRESS, true);
  view.setUint32(40, 1, true);
  for (let cpu = 0; cpu < maxVcpus; cpu++) bytes.set([0, 8, cpu, cpu * 2, cpu < vcpus ? 1 : 0], 44 + 8 * cpu);
  return header('APIC', 2, bytes);
}

function dsdtTable({ maxVcpus }: AcpiCpus): Uint8Array {
  return table('DSDT', 5, Uint8Array.from(dsdtCode(maxVcpus, MADT + 44, MADT + 9)));
}

function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  bytes.set(body, HEADER_BYTES);
  return header(signature, revision, bytes);
}

/**
 * Fills a table's header (section 5.2.6):
 *     0 signature  4 length  8 revision  9 checksum  10 OEM  16 OEM table  24 OEM revision  28 creator  32 its revision
 */
function header(signature: string, revision: number, bytes: Uint8Array): Uint8Array {
  bytes.set(ascii(signature), 0);
  new DataView(bytes.buffer).setUint32(4, bytes.length, true);
  bytes[8] = revision;
  bytes.set(ascii('Xen'), 10);
  bytes.set(ascii('HVM'), 16);
  bytes.set(ascii('HVML'), 28);
  bytes[9] = 0;
  bytes[9] = checksum(bytes);
  return bytes;
}

/** What makes the sum of all bytes zero. */
function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, b) => sum + b, 0) & 255;
}

function u32s(values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

function u64s(values: readonly number[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values, BigInt).buffer);
}

function ascii(text: string): number[] {
  return Array.from(text, (c) => c.charCodeAt(0));
}

function align16(n: number): number {
  return Math.ceil(n / 16) * 16;
}
