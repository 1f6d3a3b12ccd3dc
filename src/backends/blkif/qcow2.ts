/**
 * QEMU's disk images, version 2 and 3, for reading (qemu/docs/interop/qcow2.txt). All numbers are big-endian.
 *
 *      guest offset   ├── index into L1 ──┼── index into L2 ──┼── within the cluster ──┤
 *
 *      L1 entry   bits 55..9: offset of an L2 table, one cluster long; 0: nothing there
 *      L2 entry   bit 62 clear: bits 55..9 offset of a cluster, bit 0: reads as zeros; all zero: nothing there
 *                 bit 62 set: compressed; with x = 62 - (cluster_bits - 8), bits x-1..0 are the offset in bytes,
 *                 bits 61..x how many 512-byte sectors follow the first one
 */
import { constants, inflateRawSync, zstdDecompressSync } from 'node:zlib';
import { type DiskContent, RawContent } from './disk.ts';

const MAGIC = 0x514649fb;
const V2_HEADER = 72;
const V3_HEADER = 104;
const [MIN_CLUSTER_BITS, MAX_CLUSTER_BITS] = [9, 21];
/** QEMU takes no larger L1 table either. */
const MAX_L1_ENTRIES = (32 << 20) / 8;
const OFFSET_MASK = 0x00fffffffffffe00n;
const COMPRESSED = 1n << 62n;
const ALL_ZERO = 1n;
/** Bits of incompatible_features. */
const FEATURE = { dirty: 1n, corrupt: 2n, dataFile: 4n, compression: 8n, extendedL2: 16n } as const;
const COMPRESSION = { zlib: 0, zstd: 1 } as const;
/** Unpacked clusters, and L2 tables, that are kept. */
const KEPT = 16;

/** An image that cannot be used. The message reads `FILE: what is wrong; what to do`. */
export class Qcow2Error extends Error {
  override readonly name = 'Qcow2Error';
}

/** What a cluster of the disk is made of. */
type Cluster =
  | { readonly kind: 'zeros' }
  | { readonly kind: 'plain'; readonly at: number }
  | { readonly kind: 'packed'; readonly at: number; readonly length: number };

const ZEROS: Cluster = { kind: 'zeros' };

/** True if a file begins as a qcow2 image does. */
export function isQcow2(file: DiskContent): boolean {
  return file.length >= 4 && view(piece(file, 0, 4)).getUint32(0) === MAGIC;
}

export class Qcow2 implements DiskContent {
  /** Bytes of the disk. */
  readonly length: number;
  readonly #name: string;
  readonly #file: DiskContent;
  /** The header, as far as it is there. */
  readonly #header: DataView;
  readonly #l1: DataView;
  readonly #clusterBits: number;
  readonly #l1Entries: number;
  readonly #zstd: boolean;
  /** Both by offset in the file. */
  readonly #unpacked = new Kept<Uint8Array>();
  readonly #l2Tables = new Kept<DataView>();

  /**
   * Checks the header and every table; what lies packed in clusters is unpacked when it is read.
   * @throws Qcow2Error
   */
  constructor(file: DiskContent | Uint8Array, name: string) {
    this.#file = file instanceof Uint8Array ? new RawContent(file) : file;
    this.#name = name;
    this.#header = view(piece(this.#file, 0, V3_HEADER + 1));
    if (!isQcow2(this.#file)) throw this.#wrong('it is no qcow2 image');
    if (file.length < V2_HEADER) throw this.#wrong('its header is cut off');
    const version = this.#header.getUint32(4);
    if (version !== 2 && version !== 3) throw this.#wrong(`it is of version ${version}; there are 2 and 3`);
    if (version === 3 && file.length < V3_HEADER) throw this.#wrong('its header is cut off');
    if (this.#header.getBigUint64(8) !== 0n)
      throw this.#wrong('it needs a backing file; join them: qemu-img convert -O qcow2 OLD NEW');
    if (this.#header.getUint32(32) !== 0) throw this.#wrong('it is encrypted; qemu-img convert makes a plain one');
    this.#zstd = version === 3 && this.#features();
    this.#clusterBits = this.#header.getUint32(20);
    if (!(this.#clusterBits >= MIN_CLUSTER_BITS && this.#clusterBits <= MAX_CLUSTER_BITS))
      throw this.#wrong(`its clusters are of 2^${this.#clusterBits} bytes; there are 2^9 to 2^21`);
    const size = this.#header.getBigUint64(24);
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#wrong('its disk is too large');
    this.length = Number(size);
    const l1At = this.#header.getBigUint64(40);
    this.#l1Entries = Math.ceil(this.length / this.#l1Reach);
    const l1Given = this.#header.getUint32(36);
    if (l1Given < this.#l1Entries || l1Given > MAX_L1_ENTRIES)
      throw this.#wrong(`its L1 table has ${l1Given} entries, and its disk needs ${this.#l1Entries}`);
    if (l1At % 512n !== 0n || l1At + 8n * BigInt(this.#l1Entries) > BigInt(file.length))
      throw this.#wrong('its L1 table lies outside the file');
    this.#l1 = view(piece(this.#file, Number(l1At), 8 * this.#l1Entries));
    this.#checkTables();
  }

  /** @throws Qcow2Error if a packed cluster is damaged */
  read(offset: number, into: Uint8Array): void {
    const size = this.#clusterBytes;
    for (let done = 0; done < into.length; ) {
      const at = (offset + done) % size;
      const count = Math.min(into.length - done, size - at);
      this.#readCluster(this.#cluster(offset + done), at, into.subarray(done, done + count));
      done += count;
    }
  }

  get #clusterBytes(): number {
    return 2 ** this.#clusterBits;
  }
  get #l2Entries(): number {
    return this.#clusterBytes / 8;
  }
  /** Bytes of the disk that one L1 entry stands for. */
  get #l1Reach(): number {
    return this.#l2Entries * this.#clusterBytes;
  }

  /** Version 3's features. @returns whether clusters are packed by zstd */
  #features(): boolean {
    const bits = this.#header.getBigUint64(72);
    if (bits & FEATURE.corrupt) throw this.#wrong('it is marked as corrupt; repair it: qemu-img check -r all FILE');
    if (bits & FEATURE.dataFile) throw this.#wrong('its data lie in another file; qemu-img convert joins them');
    if (bits & FEATURE.extendedL2) throw this.#wrong('it has subclusters; qemu-img convert makes one without');
    if (bits & ~(FEATURE.dirty | FEATURE.compression))
      throw this.#wrong(`it has features that rexen does not know: 0x${bits.toString(16)}`);
    if ((bits & FEATURE.compression) === 0n) return false;
    const length = this.#header.getUint32(100);
    const type = length > V3_HEADER && this.#file.length > V3_HEADER ? this.#header.getUint8(V3_HEADER) : 0;
    if (type !== COMPRESSION.zlib && type !== COMPRESSION.zstd) throw this.#wrong(`its compression ${type} is unknown`);
    return type === COMPRESSION.zstd;
  }

  /** Every offset in L1 and L2 must lead into the file. Tables that several entries name are read once. */
  #checkTables(): void {
    const seen = new Set<number>();
    for (let i = 0; i < this.#l1Entries; i++) {
      const at = this.#l2At(i);
      if (at === 0 || seen.has(at)) continue;
      seen.add(at);
      if (at + this.#clusterBytes > this.#file.length)
        throw this.#wrong(`its L2 table ${i} lies outside the file, at 0x${at.toString(16)}`);
      const table = this.#l2(at);
      for (let j = 0; j < this.#l2Entries; j++) this.#check(table, j, at);
    }
  }

  #check(table: DataView, index: number, tableAt: number): void {
    const cluster = this.#entry(table, index);
    const entryAt = tableAt + 8 * index;
    if (cluster.kind !== 'zeros' && cluster.at >= this.#file.length)
      throw this.#wrong(
        `a cluster lies outside the file, at 0x${cluster.at.toString(16)} (its entry is at 0x${entryAt.toString(16)})`,
      );
    if (cluster.kind === 'plain' && cluster.at % this.#clusterBytes !== 0)
      throw this.#wrong(`a cluster does not begin at a cluster's boundary (its entry is at 0x${entryAt.toString(16)})`);
  }

  #l2At(index: number): number {
    return Number(this.#l1.getBigUint64(8 * index) & OFFSET_MASK);
  }

  #cluster(offset: number): Cluster {
    const l2At = this.#l2At(Math.floor(offset / this.#l1Reach));
    if (l2At === 0) return ZEROS;
    return this.#entry(this.#l2(l2At), Math.floor(offset / this.#clusterBytes) % this.#l2Entries);
  }

  /** The L2 table at `at`. */
  #l2(at: number): DataView {
    return this.#l2Tables.get(at, () => view(piece(this.#file, at, this.#clusterBytes)));
  }

  #entry(table: DataView, index: number): Cluster {
    const entry = table.getBigUint64(8 * index);
    if (entry & COMPRESSED) {
      const split = BigInt(62 - (this.#clusterBits - 8));
      const offset = Number(entry & ((1n << split) - 1n));
      const more = Number((entry & (COMPRESSED - 1n)) >> split);
      return { kind: 'packed', at: offset, length: (more + 1) * 512 - (offset % 512) };
    }
    const offset = Number(entry & OFFSET_MASK);
    return entry & ALL_ZERO || offset === 0 ? ZEROS : { kind: 'plain', at: offset };
  }

  /** Copies from `from` within a cluster on. What is beyond the file's end reads as zeros. */
  #readCluster(cluster: Cluster, from: number, into: Uint8Array): void {
    if (cluster.kind === 'zeros') into.fill(0);
    else if (cluster.kind === 'packed') into.set(this.#unpack(cluster).subarray(from, from + into.length));
    else {
      const there = Math.max(0, Math.min(into.length, this.#file.length - cluster.at - from));
      if (there > 0) this.#file.read(cluster.at + from, into.subarray(0, there));
      into.fill(0, there);
    }
  }

  #unpack({ at, length }: { at: number; length: number }): Uint8Array {
    return this.#unpacked.get(at, () => this.#inflate(piece(this.#file, at, length), at));
  }

  /** The packed bytes are followed by others, of the same sector. */
  #inflate(packed: Uint8Array, at: number): Uint8Array {
    const maxOutputLength = this.#clusterBytes;
    let cluster: Uint8Array | undefined;
    try {
      cluster = this.#zstd
        ? zstdDecompressSync(packed.subarray(0, zstdFrameBytes(packed)), { maxOutputLength })
        : inflateRawSync(packed, { maxOutputLength, finishFlush: constants.Z_SYNC_FLUSH });
    } catch {
      cluster = undefined;
    }
    if (cluster?.length === maxOutputLength) return cluster;
    throw this.#wrong(`the packed cluster at 0x${at.toString(16)} is damaged`);
  }

  #wrong(what: string): Qcow2Error {
    return new Qcow2Error(`${this.#name}: ${what}`);
  }
}

/** The things used last, by where they are. */
class Kept<T> {
  readonly #things = new Map<number, T>();

  get(at: number, make: () => T): T {
    const thing = this.#things.get(at) ?? make();
    this.#things.delete(at);
    this.#things.set(at, thing);
    if (this.#things.size > KEPT) this.#things.delete(this.#things.keys().next().value!);
    return thing;
  }
}

/** Up to `length` bytes from `at` on: as many as the file has. */
function piece(file: DiskContent, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, file.length - at)));
  file.read(at, bytes);
  return bytes;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/**
 * Length of a zstd frame (RFC 8878 section 3.1.1), which the decoder must be told where others bytes follow.
 * @throws RangeError if the frame is cut off
 */
function zstdFrameBytes(bytes: Uint8Array): number {
  const data = view(bytes);
  const descriptor = data.getUint8(4);
  const single = (descriptor >> 5) & 1;
  const sizeBytes = [single, 2, 4, 8][descriptor >> 6]!;
  let at = 5 + (1 - single) + [0, 1, 2, 4][descriptor & 3]! + sizeBytes;
  for (let last = false; !last; ) {
    const header = data.getUint16(at, true) | (data.getUint8(at + 2) << 16);
    last = (header & 1) !== 0;
    const RLE = 1;
    at += 3 + (((header >> 1) & 3) === RLE ? 1 : header >> 3);
  }
  const CHECKSUM = 4;
  return at + (descriptor & CHECKSUM ? 4 : 0);
}
