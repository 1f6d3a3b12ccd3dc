/** The families of shared/x86-vectors, and those that need not pass yet. */
export const FAMILIES = [
  'aes_clmul',
  'alu',
  'avx',
  'bit',
  'bmi',
  'control',
  'flags',
  'mmx',
  'move',
  'muldiv',
  'sha_gfni',
  'shift',
  'sse4_string',
  'sse_convert',
  'sse_float',
  'sse_int',
  'sse_move',
  'stack',
  'string',
  'x87',
  'x87_transcendental',
] as const;
export type Family = (typeof FAMILIES)[number];

/** Family to reason. The tests fail when a pending family passes: then it is taken out of here. */
export const PENDING: Partial<Record<Family, string>> = {};
