/** A file for gdb with a guest's symbols. */
import { debugFrame } from '../src/debug/symbols/debug-frame.ts';
import { elfSymbols } from '../src/debug/symbols/elf-symbols.ts';
import { symbolImage } from '../src/debug/symbols/elf-writer.ts';
import { OrcTables } from '../src/debug/symbols/orc.ts';
import { SortedSymbols, type SymbolTable } from '../src/debug/symbols/symbol-table.ts';
import type { Domain } from '../src/hypervisor/domain.ts';
import { vcpuReader } from '../src/inspect/symbols.ts';
import type { Session } from '../src/session.ts';
import { guestSymbols } from './guest-symbols.ts';

/** One without symbols: it tells gdb that a process is of 64 bits. */
export const NO_SYMBOLS: Uint8Array = symbolImage(new SortedSymbols('elf', []));

/** The kernel itself if it is an ELF image that has them, else one made of what the guest knows of itself now. */
export function symbolFileOf(session: Session, id: number): Uint8Array | undefined {
  const domain = session.xen.find(id);
  if (!domain) return undefined;
  const kernel = session.config.domains.find(({ config }) => config.name === domain.name)?.kernel;
  const bytes = kernel === undefined ? undefined : session.images.get(kernel)?.bytes;
  if (bytes && elfSymbols(bytes)) return bytes;
  const symbols = guestSymbols(session, domain);
  if (symbols.size === 0) return undefined;
  return symbolImage(symbols, unwindTables(session, domain, symbols));
}

/** The kernel's own tables in gdb's form, if it has any and one of its vcpus can read them. */
function unwindTables(session: Session, domain: Domain, symbols: SymbolTable): Uint8Array | undefined {
  for (const vcpu of domain.vcpus) {
    const rows = OrcTables.of(symbols, vcpuReader(session, vcpu))?.rows() ?? [];
    if (rows.length > 0) return debugFrame(rows);
  }
  return undefined;
}
