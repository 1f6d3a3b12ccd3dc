/**
 * softfloat: exact IEEE 754 arithmetic on bit patterns by x86's rules.
 *
 * Every operation takes a `FloatEnv` (rounding, masks, DAZ, FTZ in; flags accumulated out), a format
 * (`F16`, `F32`, `F64`, `F80`) and operands as unsigned `bigint` bit patterns, and returns one.
 * An operation computes its whole masked result and reports every flag; what unmasked exceptions change
 * (no result, no later flags) is decided by the callers: `sse.ts` for lanes, `../x87` for the stack.
 *
 *   const env = new FloatEnv().loadMxcsr(0x1f80);
 *   const sum = add(env, F64, 0x3ff0000000000000n, 0x4000000000000000n);   // 3.0; env.flags === 0
 *
 * For SSE and AVX slow paths see `sse.ts`: one call a lane or one call an instruction.
 *
 * Quirks: tininess is found after rounding; a tiny exact result raises UE only when UE is unmasked;
 * MINxx/MAXxx forward the second operand; comparisons never quiet anything.
 */
export * from './arithmetic.ts';
export * from './compare.ts';
export * from './convert.ts';
export * from './env.ts';
export * from './format.ts';
export * from './remainder.ts';
export { roundPack } from './round.ts';
export * from './sse.ts';
export * from './unpacked.ts';
