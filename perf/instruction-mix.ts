/**
 * Which handlers a guest keeps busy: the instruction at each sample, by the handler that executes it. Every instruction
 * is one tick, so the share of samples is the share of executed instructions. Reads memory past the TLB: silent.
 */
import { calloutFor } from '../src/cpu/engine/callouts.ts';
import { codeBits, codeMode } from '../src/cpu/engine/code-mode.ts';
import { isHot } from '../src/cpu/engine/handlers.ts';
import { interpreterFor } from '../src/cpu/engine/linear-map.ts';
import { Lowering } from '../src/cpu/engine/lower.ts';
import type { WasmEngine } from '../src/cpu/engine/wasm-engine.ts';
import { Decoder, Instruction } from '../src/cpu/decoder.ts';
import { Mmu } from '../src/cpu/mmu.ts';
import { SEG } from '../src/cpu/state.ts';
import { PAGE_SIZE } from '../src/memory/frames.ts';

/** How an instruction is executed: in the interpreter's own function, in a function it calls, or by TypeScript. */
export type Tier = 'inline' | 'called' | 'typescript';

export interface MixEntry {
  readonly handler: string;
  readonly tier: Tier;
  readonly count: number;
  readonly share: number;
}

const LONGEST_INSTRUCTION = 15;
/** Two instructions. */
const WINDOW_BYTES = 2 * LONGEST_INSTRUCTION;

export class InstructionMix {
  readonly #engine: WasmEngine;
  readonly #lowering: Lowering;
  readonly #decoder = new Decoder();
  readonly #insn = new Instruction();
  readonly #bytes = new Uint8Array(WINDOW_BYTES + LONGEST_INSTRUCTION);
  readonly #counts = new Map<string, { handler: string; tier: Tier; count: number }>();
  #all = 0;

  readonly #pairs: boolean;

  /** @param pairs counts an instruction together with the one that follows it in its block */
  constructor(engine: WasmEngine, pairs = false) {
    this.#engine = engine;
    this.#pairs = pairs;
    this.#lowering = new Lowering(interpreterFor(engine.memory.buffer.byteLength / 65536).built.handlers);
  }

  /** Counts the instruction that the current vcpu is at. */
  sample(): void {
    const { state } = this.#engine;
    const length = this.#fetch(state.rip + state.base(SEG.CS));
    if (length === 0) return;
    const mode = codeMode(state);
    if (this.#decoder.decode(this.#bytes, 0, length, codeBits(mode), this.#insn) !== 'ok') return;
    this.#all++;
    let { handler, tier } = this.#executor(mode);
    if (this.#pairs && this.#insn.row.blockEnd === 'none') {
      if (this.#decoder.decode(this.#bytes, this.#insn.length, length, codeBits(mode), this.#insn) !== 'ok') return;
      const second = this.#executor(mode);
      handler += ` + ${second.handler}`;
      if (second.tier !== 'inline') tier = second.tier;
    } else if (this.#pairs) handler += ' (ends its block)';
    const key = `${tier} ${handler}`;
    const entry = this.#counts.get(key);
    if (entry) entry.count++;
    else this.#counts.set(key, { handler, tier, count: 1 });
  }

  mix(): MixEntry[] {
    return [...this.#counts.values()]
      .map((entry) => ({ ...entry, share: entry.count / this.#all }))
      .sort((a, b) => b.count - a.count || (a.handler < b.handler ? -1 : 1));
  }

  #executor(mode: number): { handler: string; tier: Tier } {
    const entry = this.#lowering.handlerOf(this.#insn, mode);
    if (!entry) return { handler: this.#insn.row.mnemonic, tier: 'typescript' };
    const { spec } = entry;
    // A call-out with a handler is for what the handler gives up.
    return { handler: spec.key, tier: isHot(spec) ? 'inline' : calloutFor(this.#insn) ? 'typescript' : 'called' };
  }

  /** Up to 30 bytes at `linear`, perhaps over the end of a page. @returns how many */
  #fetch(linear: bigint): number {
    const mmu = this.#engine.virtual;
    if (!(mmu instanceof Mmu)) return 0;
    let length = 0;
    for (let at = linear; length < WINDOW_BYTES; ) {
      const gpa = mmu.peek(at);
      const mfn = gpa < 0 ? -1 : mmu.mfnOf(gpa);
      if (mfn < 0) break;
      const offset = gpa % PAGE_SIZE;
      const part = this.#engine.frames.frame(mfn).subarray(offset, Math.min(PAGE_SIZE, offset + WINDOW_BYTES - length));
      this.#bytes.set(part, length);
      length += part.length;
      at += BigInt(part.length);
    }
    return length;
  }
}

/** A table for people, with the sums of the tiers. */
export function mixTable(mix: readonly MixEntry[], top: number): string[] {
  const percent = (share: number) => `${(100 * share).toFixed(2).padStart(6)} %`;
  const tiers = (['inline', 'called', 'typescript'] as const).map((tier) => {
    return `${tier} ${percent(mix.reduce((sum, entry) => sum + (entry.tier === tier ? entry.share : 0), 0)).trim()}`;
  });
  return [
    tiers.join(', '),
    ...mix.slice(0, top).map((entry) => `${percent(entry.share)}  ${entry.tier.padEnd(10)}  ${entry.handler}`),
  ];
}
