/** A cursor over instruction bytes that remembers that it ran out instead of throwing. */
export class ByteReader {
  bytes: Uint8Array = new Uint8Array(0);
  position = 0;
  /** First offset that may not be read. */
  limit = 0;
  /** A read went past `limit`; what it returned was 0. */
  exhausted = false;

  reset(bytes: Uint8Array, position: number, limit: number): void {
    this.bytes = bytes;
    this.position = position;
    this.limit = limit;
    this.exhausted = false;
  }

  u8(): number {
    if (this.position < this.limit) return this.bytes[this.position++]!;
    this.exhausted = true;
    return 0;
  }

  i8(): number {
    return (this.u8() << 24) >> 24;
  }

  u16(): number {
    const low = this.u8();
    return low | (this.u8() << 8);
  }

  i16(): number {
    return (this.u16() << 16) >> 16;
  }

  i32(): number {
    const low = this.u16();
    return low | (this.u16() << 16);
  }
}
