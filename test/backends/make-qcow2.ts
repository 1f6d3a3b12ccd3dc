/** Makes qcow2 images, for tests: version, cluster size and how clusters are stored are free. */
import { deflateRawSync, zstdCompressSync } from 'node:zlib';

export interface MakeQcow2 {
  readonly version?: 2 | 3;
  readonly clusterBits?: number;
  /** How each cluster is stored; those beyond the list are plain. */
  readonly clusters?: readonly ('plain' | 'packed' | 'absent' | 'zero')[];
  readonly compression?: 'zlib' | 'zstd';
  /** The disk's size, if it is not the content's. */
  readonly size?: number;
}

/** `content`'s clusters that are `absent` or `zero` read as zeros. */
export function makeQcow2(content: Uint8Array, options: MakeQcow2 = {}): Uint8Array {
  const { version = 3, clusterBits = 12, clusters = [], compression = 'zlib', size = content.length } = options;
  const cluster = 2 ** clusterBits;
  const l2Entries = cluster / 8;
  const count = Math.ceil(size / cluster);
  const l1Entries = Math.ceil(count / l2Entries);
  const l1Clusters = Math.ceil((8 * l1Entries) / cluster);
  const file: Uint8Array[] = [];
  /** Nothing reads reference counts, but QEMU wants their table to be there. */
  const countsAt = cluster * (1 + l1Clusters + l1Entries);
  let end = countsAt + cluster;
  const put = (bytes: Uint8Array, align: number): number => {
    const at = Math.ceil(end / align) * align;
    file.push(new Uint8Array(at - end), bytes);
    end = at + bytes.length;
    return at;
  };
  const tables = new DataView(new ArrayBuffer(end));
  const l2At = (i: number) => cluster * (1 + l1Clusters + i);
  for (let i = 0; i < l1Entries; i++) tables.setBigUint64(cluster + 8 * i, BigInt(l2At(i)) | (1n << 63n));
  for (let i = 0; i < count; i++) {
    const entryAt = l2At(Math.floor(i / l2Entries)) + 8 * (i % l2Entries);
    const bytes = new Uint8Array(cluster);
    bytes.set(content.subarray(i * cluster, (i + 1) * cluster));
    const how = clusters[i] ?? 'plain';
    if (how === 'zero') tables.setBigUint64(entryAt, 1n);
    else if (how === 'plain') tables.setBigUint64(entryAt, BigInt(put(bytes, cluster)) | (1n << 63n));
    else if (how === 'packed') {
      const packed = compression === 'zstd' ? zstdCompressSync(bytes) : deflateRawSync(bytes, { windowBits: 12 });
      const at = put(packed, 1);
      const more = Math.floor((at + packed.length - 1) / 512) - Math.floor(at / 512);
      tables.setBigUint64(entryAt, (1n << 62n) | (BigInt(more) << BigInt(62 - (clusterBits - 8))) | BigInt(at));
    }
  }
  tables.setUint32(0, 0x514649fb);
  tables.setUint32(4, version);
  tables.setUint32(20, clusterBits);
  tables.setBigUint64(24, BigInt(size));
  tables.setUint32(36, l1Entries);
  tables.setBigUint64(40, BigInt(cluster));
  tables.setBigUint64(48, BigInt(countsAt));
  tables.setUint32(56, 1);
  if (version === 3) {
    tables.setBigUint64(72, compression === 'zstd' ? 8n : 0n);
    tables.setUint32(96, 4);
    tables.setUint32(100, 112);
    tables.setUint8(104, compression === 'zstd' ? 1 : 0);
  }
  return Buffer.concat([new Uint8Array(tables.buffer), ...file]);
}
