import { TABLE_BYTES } from './code-cache.ts';
import { MAX_BLOCK_INSTRUCTIONS } from './records.ts';

export interface EngineOptions {
  /** Frames of machine memory. */
  readonly frames: number;
  /** Vcpus that can exist at once. */
  readonly vcpus: number;
  /** Bytes for decoded records. Default 24 MiB. */
  readonly codeBytes?: number;
  /** Pages whose decoded code is kept at once, 16 KiB of tables each. Default: as many as take `codeBytes` again. */
  readonly codePages?: number;
  /** Instructions in a block at most, for tests: results must not depend on it. Default 64. */
  readonly maxBlock?: number;
  /** CPUID.1 EAX: family, model, stepping. */
  readonly signature?: number;
}

const CODE_BYTES = 24 << 20;
const PROCESSOR_SIGNATURE = 0x00060fb1;

export function withDefaults(options: EngineOptions): Required<EngineOptions> {
  return {
    codeBytes: CODE_BYTES,
    codePages: Math.floor((options.codeBytes ?? CODE_BYTES) / TABLE_BYTES),
    maxBlock: MAX_BLOCK_INSTRUCTIONS,
    signature: PROCESSOR_SIGNATURE,
    ...options,
  };
}
