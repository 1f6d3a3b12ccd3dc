import type { Engine } from '../cpu/engine.ts';
import { E, fail } from './abi/errno.ts';
import type { CType, Width } from './abi/struct.ts';

/**
 * The current vcpu's memory as hypercall arguments name it: linear addresses, 32 or 64 bits wide by the caller's mode
 * (Xen's copy_from_guest and copy_to_guest). What cannot be reached ends the hypercall with -EFAULT.
 */
export class GuestAccess {
  readonly #engine: Engine;
  /** Width of the caller's `long`: set at the entry of each hypercall. */
  width: Width = 8;
  readonly #buffer = new Uint8Array(4096);
  readonly #view = new DataView(this.#buffer.buffer);

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @throws Errno EFAULT */
  readBytes(address: bigint, length: number): Uint8Array {
    const out = new Uint8Array(length);
    if (!this.#read(address, out)) fail(E.FAULT);
    return out;
  }

  /** @throws Errno EFAULT, with nothing written */
  writeBytes(address: bigint, bytes: Uint8Array): void {
    const done = this.#engine.guarded(() => {
      this.#engine.virtual.writeBytes(this.#linear(address), bytes);
      return true;
    });
    if (!done) fail(E.FAULT);
  }

  /** A structure at `address`. @throws Errno EFAULT */
  read<V>(type: CType<V>, address: bigint): V {
    const into = this.#buffer.subarray(0, type.size(this.width));
    if (!this.#read(address, into)) fail(E.FAULT);
    return type.read(this.#view, 0, this.width);
  }

  /** Writes a structure; padding becomes zero. @throws Errno EFAULT */
  write<V>(type: CType<V>, address: bigint, value: V): void {
    const from = this.#buffer.subarray(0, type.size(this.width));
    from.fill(0);
    type.write(this.#view, 0, value, this.width);
    this.writeBytes(address, from);
  }

  /** Writes back over a structure just read, so that what the type does not name stays as it was. */
  update<V>(type: CType<V>, address: bigint, value: V): void {
    const size = type.size(this.width);
    const bytes = this.readBytes(address, size);
    type.write(new DataView(bytes.buffer), 0, value, this.width);
    this.writeBytes(address, bytes);
  }

  /** Address of element `index` of an array. */
  at<V>(type: CType<V>, address: bigint, index: number): bigint {
    return address + BigInt(index * type.size(this.width));
  }

  /** As `write`, but says whether it worked instead of ending a hypercall. */
  tryWrite(address: bigint, bytes: Uint8Array): boolean {
    return (
      this.#engine.guarded(() => {
        this.#engine.virtual.writeBytes(this.#linear(address), bytes);
        return true;
      }) === true
    );
  }

  #read(address: bigint, out: Uint8Array): boolean {
    return (
      this.#engine.guarded(() => {
        this.#engine.virtual.readBytes(this.#linear(address), out);
        return true;
      }) === true
    );
  }

  #linear(address: bigint): bigint {
    return this.width === 4 ? address & 0xffffffffn : address;
  }
}
