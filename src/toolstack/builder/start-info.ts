import type { MemoryMapEntry } from '../hypervisor-interface.ts';

export const START_INFO_MAGIC = 0x336ec578;
const INFO_BYTES = 56;
const MODULE_BYTES = 32;
const MAP_BYTES = 24;
/** libxenguest leaves room for two modules and a command line of 1024 bytes each. */
const MODULE_ROOM = 2;
const MODULE_CMDLINE_BYTES = 1024;

export interface StartInfoInput {
  /** Guest-physical address, page aligned, where it will lie. */
  readonly at: number;
  readonly cmdline: string;
  readonly module: { readonly at: number; readonly size: number } | undefined;
  /** Address of the RSDP or 0. */
  readonly rsdp: number;
  readonly map: readonly MemoryMapEntry[];
}

/**
 * hvm_start_info version 1 and what it points to, in one run of bytes as libxenguest places them
 * (xen/include/public/arch-x86/hvm/start_info.h):
 *
 *      0 magic  4 version  8 flags  12 nr_modules  16 modlist  24 cmdline  32 rsdp  40 memmap  48 memmap_entries
 *     56 command line, zero-terminated, rounded up to 8
 *        2 modules:   0 paddr  8 size  16 cmdline  24 reserved
 *        2 command lines of modules, 1024 bytes each (not used)
 *        memory map:  0 addr  8 size  16 type  20 reserved
 */
export function startInfo(input: StartInfoInput): { at: number; bytes: Uint8Array } {
  const cmdline = new TextEncoder().encode(input.cmdline);
  const modules = INFO_BYTES + (input.cmdline === '' ? 0 : Math.ceil((cmdline.length + 1) / 8) * 8);
  const map = modules + MODULE_ROOM * (MODULE_BYTES + MODULE_CMDLINE_BYTES);
  const bytes = new Uint8Array(map + input.map.length * MAP_BYTES);
  const view = new DataView(bytes.buffer);
  const u64 = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);
  view.setUint32(0, START_INFO_MAGIC, true);
  view.setUint32(4, 1, true);
  u64(32, input.rsdp);
  if (input.cmdline !== '') {
    u64(24, input.at + INFO_BYTES);
    bytes.set(cmdline, INFO_BYTES);
  }
  if (input.module !== undefined && input.module.size > 0) {
    view.setUint32(12, 1, true);
    u64(16, input.at + modules);
    u64(modules, input.module.at);
    u64(modules + 8, input.module.size);
  }
  u64(40, input.at + map);
  view.setUint32(48, input.map.length, true);
  input.map.forEach((entry, i) => {
    u64(map + i * MAP_BYTES, entry.start);
    u64(map + i * MAP_BYTES + 8, entry.size);
    view.setUint32(map + i * MAP_BYTES + 16, entry.type, true);
  });
  return { at: input.at, bytes };
}
