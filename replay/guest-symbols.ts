/** Names of a guest's addresses and addresses of its names, for commands. */
import { elfSymbols } from '../src/debug/symbols/elf-symbols.ts';
import { SortedSymbols, type SymbolTable } from '../src/debug/symbols/symbol-table.ts';
import type { Domain } from '../src/hypervisor/domain.ts';
import type { Session } from '../src/session.ts';
import { symbolsOf } from '../src/inspect/symbols.ts';

/**
 * The symbols of `domain` as they are now. `file` is the content of an ELF image to take them from instead.
 * Without any, an empty table.
 */
export function guestSymbols(session: Session, domain: Domain, file?: Uint8Array): SymbolTable {
  return (file ? elfSymbols(file) : symbolsOf(session, domain.id)) ?? new SortedSymbols('elf', []);
}
