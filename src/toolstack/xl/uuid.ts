/** FNV-1a's 128-bit constants (offset basis and prime). */
const FNV_OFFSET = 0x6c62272e07bb014262b821756295c58dn;
const FNV_PRIME = 0x0000000001000000000000000000013bn;
const MASK_128 = (1n << 128n) - 1n;

/** FNV-1a over the UTF-8 bytes of `text`, twice mixed: 128 bits that follow from the text alone. */
export function hash128(text: string): bigint {
  let h = FNV_OFFSET;
  for (const byte of new TextEncoder().encode(text)) h = ((h ^ BigInt(byte)) * FNV_PRIME) & MASK_128;
  // FNV leaves the high half of short inputs almost alone; fold the halves so that every bit depends on every byte.
  for (let i = 0; i < 2; i++) h = ((h ^ (h >> 64n)) * 0xda942042e4dd58b5_0000000000000001n) & MASK_128;
  return h;
}

/** A UUID that follows from a domain's name: version 8 (custom), RFC 9562 variant. */
export function uuidFromName(name: string): string {
  const versioned = (hash128(`rexen domain ${name}`) & ~(0xfn << 76n) & ~(3n << 62n)) | (8n << 76n) | (2n << 62n);
  return dashed(versioned.toString(16).padStart(32, '0'));
}

/** The usual spelling of a UUID, or undefined if `text` is none. xl takes it with or without dashes. */
export function normalUuid(text: string): string | undefined {
  const hex = text.toLowerCase().replaceAll('-', '');
  return /^[0-9a-f]{32}$/.test(hex) ? dashed(hex) : undefined;
}

/** The 16 bytes of a UUID, as a domain's handle holds them. */
export function uuidBytes(uuid: string): Uint8Array {
  const hex = uuid.replaceAll('-', '');
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

function dashed(hex: string): string {
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
