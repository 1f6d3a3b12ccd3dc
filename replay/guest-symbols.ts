/** Names of a guest's addresses and addresses of its names: from its image's symbol table, or from Linux's own memory. */
import type { Domain } from '../src/hypervisor/domain.ts';
import type { Session } from '../src/session.ts';
import { type KernelSymbol, kernelSymbols } from './kallsyms.ts';
import { elfSymbols } from './elf-symbols.ts';

/** A code address further from its symbol than this has no name. */
const FARTHEST = 1n << 20n;

export class GuestSymbols {
  readonly #sorted: readonly KernelSymbol[];
  readonly #byName = new Map<string, bigint>();

  constructor(sorted: readonly KernelSymbol[]) {
    this.#sorted = sorted;
    for (const { name, address } of sorted) if (!this.#byName.has(name)) this.#byName.set(name, address);
  }

  get size(): number {
    return this.#sorted.length;
  }

  /** `function+0x12`, or undefined. */
  name(address: bigint): string | undefined {
    const list = this.#sorted;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle]!.address <= address) low = middle + 1;
      else high = middle;
    }
    const symbol = list[low - 1];
    if (symbol === undefined || symbol.address === 0n || address - symbol.address > FARTHEST) return undefined;
    const offset = address - symbol.address;
    return offset === 0n ? symbol.name : `${symbol.name}+0x${offset.toString(16)}`;
  }

  address(name: string): bigint | undefined {
    return this.#byName.get(name);
  }
}

/**
 * The symbols of `domain` as they are now. `file` is the content of an ELF image to take them from instead.
 * Without any, an empty table.
 */
export function guestSymbols(session: Session, domain: Domain, file?: Uint8Array): GuestSymbols {
  if (file) return new GuestSymbols(elfSymbols(file));
  const kernel = session.config.domains.find(({ config }) => config.name === domain.name)?.kernel;
  const image = kernel === undefined ? undefined : session.images.get(kernel)?.bytes;
  const fromImage = image ? elfSymbols(image) : [];
  if (fromImage.length > 0) return new GuestSymbols(fromImage);
  return new GuestSymbols(kernelSymbols(domain, session.engine.frames) ?? []);
}
