/**
 * Undoes the x86 branch filter of .xz in place (file format, section 5.3.2): the packer turned the relative operands
 * of CALL (e8) and JMP (e9) into absolute ones where their top byte was 00 or ff. `recent` remembers in which of the
 * last three bytes an opcode was seen without being converted, because such bytes make the packer skip a candidate.
 */
export function undoX86Branches(bytes: Uint8Array): void {
  const isSign = (b: number): boolean => b === 0 || b === 0xff;
  /** Which byte of the operand to test, by `recent`; and whether that pattern is convertible at all. */
  const byteOf = [0, 1, 2, 2, 3, 3, 3, 3];
  const allowed = [true, true, true, false, true, false, false, false];
  let previous = -1;
  let recent = 0;
  for (let i = 0; i + 4 < bytes.length; i++) {
    if ((bytes[i]! & 0xfe) !== 0xe8) continue;
    const gap = i - previous;
    previous = i;
    recent = gap > 3 ? 0 : (recent << (gap - 1)) & 7;
    if (recent !== 0 && (!allowed[recent] || isSign(bytes[i + 4 - byteOf[recent]!]!))) {
      recent = (recent << 1) | 1;
      continue;
    }
    if (!isSign(bytes[i + 4]!)) {
      recent = (recent << 1) | 1;
      continue;
    }
    convert(bytes, i, recent, byteOf);
    i += 4;
  }

  function convert(b: Uint8Array, i: number, mask: number, byteOfMask: readonly number[]): void {
    let from = b[i + 1]! | (b[i + 2]! << 8) | (b[i + 3]! << 16) | (b[i + 4]! << 24);
    let to: number;
    for (;;) {
      to = (from - (i + 5)) | 0;
      if (mask === 0) break;
      const shift = byteOfMask[mask]! * 8;
      if (!isSign((to >>> (24 - shift)) & 0xff)) break;
      from = to ^ ((1 << (32 - shift)) - 1);
    }
    // 25 bits, sign-extended.
    to = (to << 7) >> 7;
    for (let k = 0; k < 4; k++) b[i + 1 + k] = to >> (8 * k);
  }
}
