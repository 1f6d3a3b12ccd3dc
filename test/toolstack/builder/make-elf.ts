/** Builds small ELF files and bzImages for tests. */
export interface MadeSegment {
  type?: number;
  paddr: number;
  data: Uint8Array;
  memSize?: number;
}

export function note(owner: string, type: number, description: Uint8Array): Uint8Array {
  const name = new TextEncoder().encode(`${owner}\0`);
  const up = (n: number) => Math.ceil(n / 4) * 4;
  const bytes = new Uint8Array(12 + up(name.length) + up(description.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, name.length, true);
  view.setUint32(4, description.length, true);
  view.setUint32(8, type, true);
  bytes.set(name, 12);
  bytes.set(description, 12 + up(name.length));
  return bytes;
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

export function makeElf(bits: 32 | 64, segments: MadeSegment[], entry = 0): Uint8Array {
  const wide = bits === 64;
  const headerBytes = wide ? 64 : 52;
  const phBytes = wide ? 56 : 32;
  let at = headerBytes + phBytes * segments.length;
  const bytes = new Uint8Array(at + segments.reduce((n, s) => n + s.data.length, 0));
  const view = new DataView(bytes.buffer);
  const word = (where: number, value: number) =>
    wide ? view.setBigUint64(where, BigInt(value), true) : view.setUint32(where, value, true);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, wide ? 62 : 3, true);
  view.setUint32(20, 1, true);
  word(24, entry);
  word(wide ? 32 : 28, headerBytes);
  view.setUint16(wide ? 52 : 40, headerBytes, true);
  view.setUint16(wide ? 54 : 42, phBytes, true);
  view.setUint16(wide ? 56 : 44, segments.length, true);
  segments.forEach((s, i) => {
    const ph = headerBytes + i * phBytes;
    view.setUint32(ph, s.type ?? 1, true);
    view.setUint32(ph + (wide ? 4 : 24), 7, true);
    word(ph + (wide ? 8 : 4), at);
    word(ph + (wide ? 16 : 8), s.paddr);
    word(ph + (wide ? 24 : 12), s.paddr);
    word(ph + (wide ? 32 : 16), s.data.length);
    word(ph + (wide ? 40 : 20), s.memSize ?? s.data.length);
    word(ph + (wide ? 48 : 28), 4);
    bytes.set(s.data, at);
    at += s.data.length;
  });
  return bytes;
}

/** A PVH kernel: `code` at 1 MiB, entered there. */
export function pvhKernel(code = Uint8Array.of(0xf4), memSize?: number): Uint8Array {
  return makeElf(32, [
    { paddr: 0x100000, data: code, memSize },
    { type: 4, paddr: 0, data: note('Xen', 18, u32(0x100000)), memSize: 0 },
  ]);
}

/** A bzImage around a payload that already carries its size where its format needs one. */
export function makeBzImage(payload: Uint8Array, version = 0x20f): Uint8Array {
  const setup = 2;
  const bytes = new Uint8Array((setup + 1) * 512 + 64 + payload.length);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = setup;
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, version, true);
  view.setUint32(0x248, 64, true);
  view.setUint32(0x24c, payload.length, true);
  bytes.set(payload, (setup + 1) * 512 + 64);
  return bytes;
}
