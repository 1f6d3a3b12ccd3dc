/**
 * Decoded records: what the interpreter executes. 16 bytes each, in linear memory.
 *
 *      0        2     3     4     5      6         7      8          12
 *     ┌────────┬─────┬─────┬─────┬──────┬─────────┬──────┬──────────┬──────────┐
 *     │ op     │ a   │ b   │ base│ index│ seg|sc  │ left │ disp     │ imm      │
 *     └────────┴─────┴─────┴─────┴──────┴─────────┴──────┴──────────┴──────────┘
 *     op     handler number                       left  instructions from here to the end of the block, this one included
 *     a, b   register operands: byte offset of the slot in the state (layout.ts); vector registers: 8 * number
 *     base, index  register slots (SLOT_ZERO if absent)      seg|sc  slot of the segment base | log2 of the scale
 *     disp   i32, sign-extended          imm   i32, sign-extended; its low byte is the third register operand
 *     disp:imm together are a 64-bit immediate (MOV r64, imm64)
 *     x87: a, b are stack registers, imm is drawn in semantics/x87-stack.ts
 *
 * An instruction is one record, or address records (op EA…) followed by its main record; a handler that may give up is
 * followed by the call-out that then executes the instruction. Control transfers take two records:
 *
 *      0        2         4       5..6    7      8          12         16         20..31
 *     ┌────────┬─────────┬───────┬───────┬──────┬──────────┬──────────┬──────────┬────────┐
 *     │ op     │ fall    │ flags │       │ left │ delta    │ taken →  │ fall →   │        │
 *     └────────┴─────────┴───────┴───────┴──────┴──────────┴──────────┴──────────┴────────┘
 *     fall   u16: bytes from the block's start to the next instruction
 *     delta  i32: bytes from the block's start to the target
 *     taken →, fall →   first record of the next block once it is known and lies on the same page, else 0
 *     flags  bit 0: `taken →` may be set, bit 1: `fall →` may be set
 */
export const RECORD_BYTES = 16;
export const R_OP = 0;
export const R_A = 2;
export const R_B = 3;
export const R_BASE = 4;
export const R_INDEX = 5;
export const R_SEG_SCALE = 6;
export const R_LEFT = 7;
export const R_DISP = 8;
export const R_IMM = 12;

export const T_FALL = 2;
export const T_FLAGS = 4;
export const T_DELTA = 8;
export const T_TAKEN = 12;
export const T_FALL_NEXT = 16;
export const LINK_TAKEN = 1;
export const LINK_FALL = 2;

/** Instructions in one block at the most; fits the byte `left`. */
export const MAX_BLOCK_INSTRUCTIONS = 64;
/** Records of one block at the most: two for the address, the handler's, a call-out's; and the block's end. */
export const MAX_BLOCK_RECORDS = MAX_BLOCK_INSTRUCTIONS * 4 + 4;
