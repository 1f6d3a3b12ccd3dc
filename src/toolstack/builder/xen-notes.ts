import { type ElfImage, type ElfNote, text } from './elf.ts';
import { ImageError } from './image.ts';

/** What a kernel says about itself to Xen's domain builder: xen/include/public/elfnote.h. */
export interface XenNotes {
  entry?: bigint;
  hypercallPage?: bigint;
  virtBase?: bigint;
  paddrOffset?: bigint;
  xenVersion?: string;
  guestOs?: string;
  guestVersion?: string;
  loader?: string;
  paeMode?: string;
  features?: string;
  bsdSymtab?: string;
  hvStartLow?: bigint;
  suspendCancel?: bigint;
  initP2m?: bigint;
  modStartPfn?: bigint;
  /** Bits as XENFEAT_* of features.h. */
  supportedFeatures?: bigint;
  /** Physical address where a PVH guest starts, in 32-bit protected mode. */
  phys32Entry?: bigint;
}

/** XEN_ELFNOTE_*: number, our name, what the description holds. */
const NOTES: readonly (readonly [number, keyof XenNotes, 'number' | 'text'])[] = [
  [1, 'entry', 'number'],
  [2, 'hypercallPage', 'number'],
  [3, 'virtBase', 'number'],
  [4, 'paddrOffset', 'number'],
  [5, 'xenVersion', 'text'],
  [6, 'guestOs', 'text'],
  [7, 'guestVersion', 'text'],
  [8, 'loader', 'text'],
  [9, 'paeMode', 'text'],
  [10, 'features', 'text'],
  [11, 'bsdSymtab', 'text'],
  [12, 'hvStartLow', 'number'],
  [14, 'suspendCancel', 'number'],
  [15, 'initP2m', 'number'],
  [16, 'modStartPfn', 'number'],
  [17, 'supportedFeatures', 'number'],
  [18, 'phys32Entry', 'number'],
];

/** XENFEAT_linux_rsdp_unrestricted: the kernel finds the RSDP by start_info wherever it is. */
export const XENFEAT_LINUX_RSDP_UNRESTRICTED = 15;

/** Names of features.h in the text note, position = bit. */
const FEATURE_NAMES = [
  'writable_page_tables',
  'writable_descriptor_tables',
  'auto_translated_physmap',
  'supervisor_mode_kernel',
  'pae_pgdir_above_4gb',
];

/** @throws ImageError where a numeric note has an impossible size */
export function readXenNotes(elf: ElfImage): XenNotes {
  const found: XenNotes = {};
  for (const note of elf.notes) {
    if (note.owner !== 'Xen') continue;
    const row = NOTES.find(([type]) => type === note.type);
    if (row === undefined) continue;
    const value = row[2] === 'text' ? text(note.description) : numeric(elf, note);
    (found as Record<string, bigint | string>)[row[1]] = value;
  }
  return found;
}

/** Whether the kernel says it supports a feature, by bit or by name. */
export function hasFeature(notes: XenNotes, bit: number): boolean {
  if (((notes.supportedFeatures ?? 0n) >> BigInt(bit)) & 1n) return true;
  const names = (notes.features ?? '').split('|').map((f) => f.replace(/^!/, ''));
  return FEATURE_NAMES[bit] !== undefined && names.includes(FEATURE_NAMES[bit]);
}

function numeric(elf: ElfImage, note: ElfNote): bigint {
  const size = note.description.length;
  if (![1, 2, 4, 8].includes(size))
    throw new ImageError(elf.image.name, note.offset, `Xen note ${note.type} holds a number, but of ${size} bytes`);
  return note.description.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
