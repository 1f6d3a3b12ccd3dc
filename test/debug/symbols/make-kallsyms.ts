/** Builds kallsyms tables as scripts/kallsyms.c lays them out, with a dictionary that is simple but valid. */

export interface KernelName {
  readonly type: string;
  readonly name: string;
  readonly address: bigint;
}

export interface Layout {
  /** Linux 6.4 and later: addresses behind the token index. */
  readonly addressesLast?: boolean;
  /** Linux 6.2 and later: 3 bytes a symbol between markers and tokens. */
  readonly sequences?: boolean;
  /** Offsets of an SMP kernel: negative, but for per-cpu symbols. */
  readonly absolutePercpu?: boolean;
}

/** Printable characters stand for themselves, the other bytes for some longer tokens. */
const TOKENS = Array.from({ length: 256 }, (_, i) => (i > 0x20 && i < 0x7f ? String.fromCharCode(i) : `tok${i}_`));
TOKENS[1] = 'sys_';
TOKENS[2] = 'T__x64_';

function encode(text: string): number[] {
  const out: number[] = [];
  for (let rest = text; rest !== ''; ) {
    const token = [2, 1].find((each) => rest.startsWith(TOKENS[each]!));
    out.push(token ?? rest.charCodeAt(0));
    rest = rest.slice(token === undefined ? 1 : TOKENS[token]!.length);
  }
  const { length } = out;
  return length < 128 ? [length, ...out] : [(length & 0x7f) | 0x80, length >> 7, ...out];
}

export function makeKallsyms(symbols: readonly KernelName[], base: bigint, layout: Layout = {}): Buffer {
  const parts: Buffer[] = [];
  let size = 0;
  const add = (part: Buffer) => {
    const padding = Buffer.alloc((8 - ((size + part.length) & 7)) & 7);
    parts.push(part, padding);
    size += part.length + padding.length;
  };
  const u32 = (values: readonly number[]) => Buffer.from(Int32Array.from(values).buffer);
  const addresses = () => {
    add(
      u32(
        symbols.map(({ address }) => {
          if (layout.absolutePercpu) return address < base ? Number(address) : Number(base - 1n - address);
          return Number(address - base);
        }),
      ),
    );
    const number = Buffer.alloc(8);
    number.writeBigUInt64LE(base);
    add(number);
  };
  if (!layout.addressesLast) addresses();
  add(u32([symbols.length]));
  const names: number[] = [];
  const markers: number[] = [];
  for (const [i, { type, name }] of symbols.entries()) {
    if (i % 256 === 0) markers.push(names.length);
    names.push(...encode(type + name));
  }
  add(Buffer.from(names));
  add(u32(markers));
  if (layout.sequences) add(Buffer.from(symbols.flatMap((_, i) => [i >> 16, i >> 8, i])));
  const offsets: number[] = [];
  const table = Buffer.concat(
    TOKENS.map((token, i) => {
      offsets.push(i === 0 ? 0 : offsets[i - 1]! + TOKENS[i - 1]!.length + 1);
      return Buffer.from(`${token}\0`, 'latin1');
    }),
  );
  add(table);
  add(Buffer.from(Uint16Array.from(offsets).buffer));
  if (layout.addressesLast) addresses();
  return Buffer.concat(parts);
}

/** `count` functions, 32 bytes apart from `base` on, and two per-cpu variables if `percpu`. */
export function someSymbols(count: number, base: bigint, percpu = false): KernelName[] {
  const variables = percpu
    ? [
        { type: 'A', name: 'fixed_percpu_data', address: 0n },
        { type: 'D', name: 'cpu_number', address: 0x1c000n },
      ]
    : [];
  const functions = Array.from({ length: count }, (_, i) => ({
    type: i % 5 === 4 ? 'd' : 'T',
    name: i === 7 ? `long_${'x'.repeat(300)}` : i % 3 === 0 ? `__x64_sys_call${i}` : `function_${i}`,
    address: base + BigInt(32 * i),
  }));
  return [...variables, ...functions];
}
