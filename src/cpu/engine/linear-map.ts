import { PAGE_SIZE } from '../../memory/frames.ts';
import { TLB_SET_BYTES, TLB_VIEW_BYTES } from '../../memory/tlb.ts';
import * as L from '../layout.ts';
import { type CodeCacheArea, TABLE_BYTES } from './code-cache.ts';
import { buildInterpreter, type InterpreterModule } from './interpreter.ts';

/** Where everything beyond the fixed part of layout.ts lies in linear memory, in bytes. */
export interface LinearMap {
  /** A block table that stays all zero. */
  readonly emptyTable: number;
  /** A data TLB in which nothing ever hits. */
  readonly missingTlb: number;
  readonly code: CodeCacheArea;
  /** Machine frame 0. */
  readonly frames: number;
  /** Size of the whole, in pages of 64 KiB. */
  readonly pages: number;
}

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

/** @throws RangeError if it does not fit the 4 GiB that WebAssembly addresses. */
export function linearMap(frames: number, vcpus: number, codeBytes: number, tableCount: number): LinearMap {
  const emptyTable = roundUp(L.TLB_AREA + vcpus * TLB_SET_BYTES, 64);
  const missingTlb = emptyTable + TABLE_BYTES;
  const pool = missingTlb + TLB_VIEW_BYTES;
  const tables = pool + codeBytes;
  const base = roundUp(tables + tableCount * TABLE_BYTES, 65536);
  const pages = roundUp(base + frames * PAGE_SIZE, 65536) / 65536;
  if (pages > 65536) {
    throw new RangeError(
      `machine memory of ${(frames * PAGE_SIZE) / 2 ** 20} MiB is more than the 4 GiB address space allows`,
    );
  }
  return { emptyTable, missingTlb, code: { pool, poolBytes: codeBytes, tables, tableCount }, frames: base, pages };
}

/** Compiled once for each memory size: machines of one process share it. */
const modules = new Map<number, { built: InterpreterModule; module: WebAssembly.Module }>();
export function interpreterFor(pages: number): { built: InterpreterModule; module: WebAssembly.Module } {
  let entry = modules.get(pages);
  if (entry === undefined) {
    const built = buildInterpreter(pages);
    entry = { built, module: new WebAssembly.Module(built.bytes) };
    modules.set(pages, entry);
  }
  return entry;
}
