/** Names for guest addresses, whatever they were read from. */

/** An address in words: `name` begins `offset` bytes before it. */
export interface SymbolPlace {
  readonly name: string;
  /** Where the symbol begins. */
  readonly address: bigint;
  readonly offset: bigint;
}

export interface SymbolTable {
  /** Where the names come from: the running kernel's own tables, or an ELF file. */
  readonly source: 'kallsyms' | 'elf';
  /** How many symbols there are. */
  readonly size: number;
  /** The symbol that `address` lies in. */
  find(address: bigint): SymbolPlace | undefined;
  /** `function+0x12`, or `function` at its very start. */
  name(address: bigint): string | undefined;
  /** Where the first symbol of this name begins. */
  address(name: string): bigint | undefined;
  /** True where the table knows code: an address elsewhere is no return address. */
  isCode(address: bigint): boolean;
  /** Those with an address, ascending, one for each address. */
  entries(): readonly SymbolEntry[];
  /** All names there are, several for an address and those that are no addresses among them. */
  all(): readonly SymbolEntry[];
}

export interface SymbolEntry {
  readonly name: string;
  readonly address: bigint;
  /** Bytes, 0 if unknown: then it reaches to the next symbol, within reason. */
  readonly size: bigint;
  readonly code: boolean;
  /** Found by name only, as values that are no addresses. */
  readonly hidden?: boolean;
}

/** A symbol without a size reaches so far at most. */
const UNSIZED_BYTES = 1n << 16n;

/** A table in memory, sorted by address. Of several names of one address the first counts, as in Linux. */
export class SortedSymbols implements SymbolTable {
  readonly source: 'kallsyms' | 'elf';
  readonly size: number;
  readonly #addresses: BigUint64Array;
  readonly #ends: BigUint64Array;
  readonly #sorted: readonly SymbolEntry[];
  readonly #byName = new Map<string, bigint>();
  readonly #all: readonly SymbolEntry[];

  constructor(source: 'kallsyms' | 'elf', entries: readonly SymbolEntry[]) {
    this.source = source;
    this.size = entries.length;
    this.#all = entries;
    for (const { name, address } of entries) if (!this.#byName.has(name)) this.#byName.set(name, address);
    const visible = entries.filter(({ hidden }) => !hidden);
    // Array.prototype.sort is stable: among equals the given order stays.
    visible.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    this.#sorted = visible.filter((entry, i) => i === 0 || visible[i - 1]!.address !== entry.address);
    this.#addresses = BigUint64Array.from(this.#sorted, ({ address }) => address);
    this.#ends = BigUint64Array.from(this.#sorted, ({ address, size }, i) => {
      if (size > 0n) return address + size;
      const next = this.#sorted[i + 1]?.address ?? address + UNSIZED_BYTES;
      return next - address > UNSIZED_BYTES ? address + UNSIZED_BYTES : next;
    });
  }

  find(address: bigint): SymbolPlace | undefined {
    const entry = this.#sorted[this.#index(address)];
    return entry && { name: entry.name, address: entry.address, offset: address - entry.address };
  }

  name(address: bigint): string | undefined {
    const place = this.find(address);
    return place && (place.offset === 0n ? place.name : `${place.name}+0x${place.offset.toString(16)}`);
  }

  address(name: string): bigint | undefined {
    return this.#byName.get(name);
  }

  isCode(address: bigint): boolean {
    return this.#sorted[this.#index(address)]?.code === true;
  }

  entries(): readonly SymbolEntry[] {
    return this.#sorted;
  }

  all(): readonly SymbolEntry[] {
    return this.#all;
  }

  #index(address: bigint): number {
    let low = 0;
    let high = this.#addresses.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#addresses[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    return low > 0 && address < this.#ends[low - 1]! ? low - 1 : -1;
  }
}
