import type { Engine } from '../cpu/engine.ts';
import { PAGE_SIZE } from '../memory/frames.ts';
import type { CType, Width } from './abi/struct.ts';

/**
 * A structure that the hypervisor shares with a guest, at a place in a machine frame. Every write tells the engine,
 * so that decoded code and dirty tracking stay right.
 */
export class FrameView {
  readonly mfn: number;
  readonly offset: number;
  readonly view: DataView;
  readonly #bytes: Uint8Array;
  readonly #engine: Engine;

  /** `length` bytes from `offset` in frame `mfn`. @throws RangeError if that crosses the frame */
  constructor(engine: Engine, mfn: number, offset = 0, length = PAGE_SIZE - offset) {
    if (offset + length > PAGE_SIZE) throw new RangeError('a frame view cannot cross a frame');
    this.mfn = mfn;
    this.offset = offset;
    this.#engine = engine;
    this.#bytes = engine.frames.frame(mfn).subarray(offset, offset + length);
    this.view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, length);
  }

  u8(at: number): number {
    return this.#bytes[at];
  }
  setU8(at: number, value: number): void {
    this.#bytes[at] = value;
    this.touched();
  }
  u32(at: number): number {
    return this.view.getUint32(at, true);
  }
  setU32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
    this.touched();
  }

  bit(at: number, n: number): boolean {
    return ((this.#bytes[at + (n >> 3)] >> (n & 7)) & 1) !== 0;
  }
  /** Sets bit `n` of the bitmap at `at`. @returns its old value */
  setBit(at: number, n: number): boolean {
    const was = this.bit(at, n);
    if (!was) this.setU8(at + (n >> 3), this.#bytes[at + (n >> 3)] | (1 << (n & 7)));
    return was;
  }
  /** Clears bit `n`. @returns its old value */
  clearBit(at: number, n: number): boolean {
    const was = this.bit(at, n);
    if (was) this.setU8(at + (n >> 3), this.#bytes[at + (n >> 3)] & ~(1 << (n & 7)));
    return was;
  }

  write<V>(type: CType<V>, at: number, value: V, w: Width): void {
    type.write(this.view, at, value, w);
    this.touched();
  }
  bytes(): Uint8Array {
    return this.#bytes;
  }
  touched(): void {
    this.#engine.frameWritten(this.mfn);
  }
}
