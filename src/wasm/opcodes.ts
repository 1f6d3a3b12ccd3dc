/**
 * Every instruction that computes, loads or stores, as data. Control flow, locals, globals and constants are not here:
 * they need more than operands (function.ts, expr.ts).
 *
 * A group is `[first opcode, operand types, result type, names, immediate?]`; its names have consecutive opcodes, in
 * the order of the specification's index of instructions. Opcodes above 0xff are a prefix byte and a LEB128 number:
 *
 *     15       8 7        0
 *    +----------+----------+
 *    |  prefix  |  number  |   prefix 0xfc: saturating truncation, bulk memory; 0xfd: SIMD
 *    +----------+----------+
 *
 * Immediates:
 *   mem:N       natural alignment 2^N bytes, and an offset of the caller's
 *   lane:N      a lane index below N
 *   memlane:N   alignment 2^N, offset, and a lane index below 16 >> N
 *   shuffle     16 lane indices below 32
 *   zero, zeros one or two zero bytes (memory indices)
 */
export type ValType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
export type ResultType = ValType | 'void';

export type Group = readonly [first: number, operands: string, result: ResultType, names: string, immediate?: string];

const INT_COMPARES = 'eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u';
const FLOAT_COMPARES = 'eq ne lt gt le ge';
const INT_UNARY = 'clz ctz popcnt';
const INT_BINARY = 'add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr';
const FLOAT_UNARY = 'abs neg ceil floor trunc nearest sqrt';
const FLOAT_BINARY = 'add sub mul div min max copysign';
const SATURATING = 'add add_sat_s add_sat_u sub sub_sat_s sub_sat_u';
const SHIFTS = 'shl shr_s shr_u';
const MIN_MAX = 'min_s min_u max_s max_u';

export const OPCODES = {
  i32: [
    [0x28, 'i32', 'i32', 'load', 'mem:2'],
    [0x2c, 'i32', 'i32', 'load8_s load8_u', 'mem:0'],
    [0x2e, 'i32', 'i32', 'load16_s load16_u', 'mem:1'],
    [0x36, 'i32 i32', 'void', 'store', 'mem:2'],
    [0x3a, 'i32 i32', 'void', 'store8', 'mem:0'],
    [0x3b, 'i32 i32', 'void', 'store16', 'mem:1'],
    [0x45, 'i32', 'i32', 'eqz'],
    [0x46, 'i32 i32', 'i32', INT_COMPARES],
    [0x67, 'i32', 'i32', INT_UNARY],
    [0x6a, 'i32 i32', 'i32', INT_BINARY],
    [0xa7, 'i64', 'i32', 'wrap_i64'],
    [0xa8, 'f32', 'i32', 'trunc_f32_s trunc_f32_u'],
    [0xaa, 'f64', 'i32', 'trunc_f64_s trunc_f64_u'],
    [0xbc, 'f32', 'i32', 'reinterpret_f32'],
    [0xc0, 'i32', 'i32', 'extend8_s extend16_s'],
    [0xfc00, 'f32', 'i32', 'trunc_sat_f32_s trunc_sat_f32_u'],
    [0xfc02, 'f64', 'i32', 'trunc_sat_f64_s trunc_sat_f64_u'],
  ],
  i64: [
    [0x29, 'i32', 'i64', 'load', 'mem:3'],
    [0x30, 'i32', 'i64', 'load8_s load8_u', 'mem:0'],
    [0x32, 'i32', 'i64', 'load16_s load16_u', 'mem:1'],
    [0x34, 'i32', 'i64', 'load32_s load32_u', 'mem:2'],
    [0x37, 'i32 i64', 'void', 'store', 'mem:3'],
    [0x3c, 'i32 i64', 'void', 'store8', 'mem:0'],
    [0x3d, 'i32 i64', 'void', 'store16', 'mem:1'],
    [0x3e, 'i32 i64', 'void', 'store32', 'mem:2'],
    [0x50, 'i64', 'i32', 'eqz'],
    [0x51, 'i64 i64', 'i32', INT_COMPARES],
    [0x79, 'i64', 'i64', INT_UNARY],
    [0x7c, 'i64 i64', 'i64', INT_BINARY],
    [0xac, 'i32', 'i64', 'extend_i32_s extend_i32_u'],
    [0xae, 'f32', 'i64', 'trunc_f32_s trunc_f32_u'],
    [0xb0, 'f64', 'i64', 'trunc_f64_s trunc_f64_u'],
    [0xbd, 'f64', 'i64', 'reinterpret_f64'],
    [0xc2, 'i64', 'i64', 'extend8_s extend16_s extend32_s'],
    [0xfc04, 'f32', 'i64', 'trunc_sat_f32_s trunc_sat_f32_u'],
    [0xfc06, 'f64', 'i64', 'trunc_sat_f64_s trunc_sat_f64_u'],
  ],
  f32: [
    [0x2a, 'i32', 'f32', 'load', 'mem:2'],
    [0x38, 'i32 f32', 'void', 'store', 'mem:2'],
    [0x5b, 'f32 f32', 'i32', FLOAT_COMPARES],
    [0x8b, 'f32', 'f32', FLOAT_UNARY],
    [0x92, 'f32 f32', 'f32', FLOAT_BINARY],
    [0xb2, 'i32', 'f32', 'convert_i32_s convert_i32_u'],
    [0xb4, 'i64', 'f32', 'convert_i64_s convert_i64_u'],
    [0xb6, 'f64', 'f32', 'demote_f64'],
    [0xbe, 'i32', 'f32', 'reinterpret_i32'],
  ],
  f64: [
    [0x2b, 'i32', 'f64', 'load', 'mem:3'],
    [0x39, 'i32 f64', 'void', 'store', 'mem:3'],
    [0x61, 'f64 f64', 'i32', FLOAT_COMPARES],
    [0x99, 'f64', 'f64', FLOAT_UNARY],
    [0xa0, 'f64 f64', 'f64', FLOAT_BINARY],
    [0xb7, 'i32', 'f64', 'convert_i32_s convert_i32_u'],
    [0xb9, 'i64', 'f64', 'convert_i64_s convert_i64_u'],
    [0xbb, 'f32', 'f64', 'promote_f32'],
    [0xbf, 'i64', 'f64', 'reinterpret_i64'],
  ],
  memory: [
    [0x3f, '', 'i32', 'size', 'zero'],
    [0x40, 'i32', 'i32', 'grow', 'zero'],
    [0xfc0a, 'i32 i32 i32', 'void', 'copy', 'zeros'],
    [0xfc0b, 'i32 i32 i32', 'void', 'fill', 'zero'],
  ],
  v128: [
    [0xfd00, 'i32', 'v128', 'load', 'mem:4'],
    [0xfd01, 'i32', 'v128', 'load8x8_s load8x8_u load16x4_s load16x4_u load32x2_s load32x2_u', 'mem:3'],
    [0xfd07, 'i32', 'v128', 'load8_splat', 'mem:0'],
    [0xfd08, 'i32', 'v128', 'load16_splat', 'mem:1'],
    [0xfd09, 'i32', 'v128', 'load32_splat', 'mem:2'],
    [0xfd0a, 'i32', 'v128', 'load64_splat', 'mem:3'],
    [0xfd0b, 'i32 v128', 'void', 'store', 'mem:4'],
    [0xfd4d, 'v128', 'v128', 'not'],
    [0xfd4e, 'v128 v128', 'v128', 'and andnot or xor'],
    [0xfd52, 'v128 v128 v128', 'v128', 'bitselect'],
    [0xfd53, 'v128', 'i32', 'any_true'],
    [0xfd54, 'i32 v128', 'v128', 'load8_lane', 'memlane:0'],
    [0xfd55, 'i32 v128', 'v128', 'load16_lane', 'memlane:1'],
    [0xfd56, 'i32 v128', 'v128', 'load32_lane', 'memlane:2'],
    [0xfd57, 'i32 v128', 'v128', 'load64_lane', 'memlane:3'],
    [0xfd58, 'i32 v128', 'void', 'store8_lane', 'memlane:0'],
    [0xfd59, 'i32 v128', 'void', 'store16_lane', 'memlane:1'],
    [0xfd5a, 'i32 v128', 'void', 'store32_lane', 'memlane:2'],
    [0xfd5b, 'i32 v128', 'void', 'store64_lane', 'memlane:3'],
    [0xfd5c, 'i32', 'v128', 'load32_zero', 'mem:2'],
    [0xfd5d, 'i32', 'v128', 'load64_zero', 'mem:3'],
  ],
  i8x16: [
    [0xfd0d, 'v128 v128', 'v128', 'shuffle', 'shuffle'],
    [0xfd0e, 'v128 v128', 'v128', 'swizzle'],
    [0xfd0f, 'i32', 'v128', 'splat'],
    [0xfd15, 'v128', 'i32', 'extract_lane_s extract_lane_u', 'lane:16'],
    [0xfd17, 'v128 i32', 'v128', 'replace_lane', 'lane:16'],
    [0xfd23, 'v128 v128', 'v128', INT_COMPARES],
    [0xfd60, 'v128', 'v128', 'abs neg popcnt'],
    [0xfd63, 'v128', 'i32', 'all_true bitmask'],
    [0xfd65, 'v128 v128', 'v128', 'narrow_i16x8_s narrow_i16x8_u'],
    [0xfd6b, 'v128 i32', 'v128', SHIFTS],
    [0xfd6e, 'v128 v128', 'v128', SATURATING],
    [0xfd76, 'v128 v128', 'v128', MIN_MAX],
    [0xfd7b, 'v128 v128', 'v128', 'avgr_u'],
  ],
  i16x8: [
    [0xfd10, 'i32', 'v128', 'splat'],
    [0xfd18, 'v128', 'i32', 'extract_lane_s extract_lane_u', 'lane:8'],
    [0xfd1a, 'v128 i32', 'v128', 'replace_lane', 'lane:8'],
    [0xfd2d, 'v128 v128', 'v128', INT_COMPARES],
    [0xfd7c, 'v128', 'v128', 'extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u'],
    [0xfd80, 'v128', 'v128', 'abs neg'],
    [0xfd82, 'v128 v128', 'v128', 'q15mulr_sat_s'],
    [0xfd83, 'v128', 'i32', 'all_true bitmask'],
    [0xfd85, 'v128 v128', 'v128', 'narrow_i32x4_s narrow_i32x4_u'],
    [0xfd87, 'v128', 'v128', 'extend_low_i8x16_s extend_high_i8x16_s extend_low_i8x16_u extend_high_i8x16_u'],
    [0xfd8b, 'v128 i32', 'v128', SHIFTS],
    [0xfd8e, 'v128 v128', 'v128', SATURATING],
    [0xfd95, 'v128 v128', 'v128', 'mul'],
    [0xfd96, 'v128 v128', 'v128', MIN_MAX],
    [0xfd9b, 'v128 v128', 'v128', 'avgr_u'],
    [0xfd9c, 'v128 v128', 'v128', 'extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u'],
  ],
  i32x4: [
    [0xfd11, 'i32', 'v128', 'splat'],
    [0xfd1b, 'v128', 'i32', 'extract_lane', 'lane:4'],
    [0xfd1c, 'v128 i32', 'v128', 'replace_lane', 'lane:4'],
    [0xfd37, 'v128 v128', 'v128', INT_COMPARES],
    [0xfd7e, 'v128', 'v128', 'extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u'],
    [0xfda0, 'v128', 'v128', 'abs neg'],
    [0xfda3, 'v128', 'i32', 'all_true bitmask'],
    [0xfda7, 'v128', 'v128', 'extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u'],
    [0xfdab, 'v128 i32', 'v128', SHIFTS],
    [0xfdae, 'v128 v128', 'v128', 'add'],
    [0xfdb1, 'v128 v128', 'v128', 'sub'],
    [0xfdb5, 'v128 v128', 'v128', 'mul'],
    [0xfdb6, 'v128 v128', 'v128', MIN_MAX],
    [0xfdba, 'v128 v128', 'v128', 'dot_i16x8_s'],
    [0xfdbc, 'v128 v128', 'v128', 'extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u'],
    [0xfdf8, 'v128', 'v128', 'trunc_sat_f32x4_s trunc_sat_f32x4_u'],
    [0xfdfc, 'v128', 'v128', 'trunc_sat_f64x2_s_zero trunc_sat_f64x2_u_zero'],
  ],
  i64x2: [
    [0xfd12, 'i64', 'v128', 'splat'],
    [0xfd1d, 'v128', 'i64', 'extract_lane', 'lane:2'],
    [0xfd1e, 'v128 i64', 'v128', 'replace_lane', 'lane:2'],
    [0xfdc0, 'v128', 'v128', 'abs neg'],
    [0xfdc3, 'v128', 'i32', 'all_true bitmask'],
    [0xfdc7, 'v128', 'v128', 'extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u'],
    [0xfdcb, 'v128 i32', 'v128', SHIFTS],
    [0xfdce, 'v128 v128', 'v128', 'add'],
    [0xfdd1, 'v128 v128', 'v128', 'sub'],
    [0xfdd5, 'v128 v128', 'v128', 'mul'],
    [0xfdd6, 'v128 v128', 'v128', 'eq ne lt_s gt_s le_s ge_s'],
    [0xfddc, 'v128 v128', 'v128', 'extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u'],
  ],
  f32x4: [
    [0xfd13, 'f32', 'v128', 'splat'],
    [0xfd1f, 'v128', 'f32', 'extract_lane', 'lane:4'],
    [0xfd20, 'v128 f32', 'v128', 'replace_lane', 'lane:4'],
    [0xfd41, 'v128 v128', 'v128', FLOAT_COMPARES],
    [0xfd5e, 'v128', 'v128', 'demote_f64x2_zero'],
    [0xfd67, 'v128', 'v128', 'ceil floor trunc nearest'],
    [0xfde0, 'v128', 'v128', 'abs neg'],
    [0xfde3, 'v128', 'v128', 'sqrt'],
    [0xfde4, 'v128 v128', 'v128', 'add sub mul div min max pmin pmax'],
    [0xfdfa, 'v128', 'v128', 'convert_i32x4_s convert_i32x4_u'],
  ],
  f64x2: [
    [0xfd14, 'f64', 'v128', 'splat'],
    [0xfd21, 'v128', 'f64', 'extract_lane', 'lane:2'],
    [0xfd22, 'v128 f64', 'v128', 'replace_lane', 'lane:2'],
    [0xfd47, 'v128 v128', 'v128', FLOAT_COMPARES],
    [0xfd5f, 'v128', 'v128', 'promote_low_f32x4'],
    [0xfd74, 'v128', 'v128', 'ceil floor'],
    [0xfd7a, 'v128', 'v128', 'trunc'],
    [0xfd94, 'v128', 'v128', 'nearest'],
    [0xfdec, 'v128', 'v128', 'abs neg'],
    [0xfdef, 'v128', 'v128', 'sqrt'],
    [0xfdf0, 'v128 v128', 'v128', 'add sub mul div min max pmin pmax'],
    [0xfdfe, 'v128', 'v128', 'convert_low_i32x4_s convert_low_i32x4_u'],
  ],
} as const satisfies Record<string, readonly Group[]>;

export type Namespace = keyof typeof OPCODES;

/** One instruction, a group unpacked. `name` is the specification's, such as `i32.add`. */
export interface OpcodeRow {
  readonly name: string;
  readonly namespace: Namespace;
  readonly method: string;
  readonly code: number;
  readonly operands: readonly ValType[];
  readonly result: ResultType;
  readonly immediate: '' | 'mem' | 'lane' | 'memlane' | 'shuffle' | 'zero' | 'zeros';
  /** Log2 of the alignment for memory operations, the number of lanes for lane operations, else 0. */
  readonly size: number;
}

/** All instructions of the table, in its order. */
export const OPCODE_ROWS: readonly OpcodeRow[] = Object.entries(OPCODES).flatMap(([namespace, groups]) =>
  (groups as readonly Group[]).flatMap(([first, operands, result, names, immediate = '']) => {
    const [kind, size = '0'] = immediate.split(':');
    return names.split(' ').map((method, index) => ({
      name: `${namespace}.${method}`,
      namespace: namespace as Namespace,
      method,
      code: first + index,
      operands: operands === '' ? [] : (operands.split(' ') as ValType[]),
      result,
      immediate: kind as OpcodeRow['immediate'],
      size: Number(size),
    }));
  }),
);
