/**
 * Conditions of breakpoints as gdb compiles them (GDB manual, appendix F "The GDB Agent Expression Mechanism"): bytecode
 * for a stack of 64-bit words. Looking at them here spares gdb a stop for each time that they do not hold.
 */

export interface AgentWorld {
  /** By gdb's number, little-endian. */
  register(number: number): bigint | undefined;
  /** `length` bytes as a little-endian number. */
  memory(address: bigint, length: number): bigint | undefined;
}

/** Longer ones count as undecided. */
const MAX_STEPS = 10_000;
const MAX_STACK = 256;

type Binary = (a: bigint, b: bigint) => bigint | undefined;
const signed = (value: bigint): bigint => BigInt.asIntN(64, value);
const truth = (value: boolean): bigint => (value ? 1n : 0n);
/** Shifts by 64 and more leave nothing. */
const amount = (b: bigint): bigint => (b < 64n ? b : 64n);

/** By opcode; a is below b on the stack, both unsigned. undefined: cannot be done. */
const BINARY: Readonly<Record<number, Binary>> = {
  2: (a, b) => a + b,
  3: (a, b) => a - b,
  4: (a, b) => a * b,
  5: (a, b) => (b === 0n ? undefined : signed(a) / signed(b)),
  6: (a, b) => (b === 0n ? undefined : a / b),
  7: (a, b) => (b === 0n ? undefined : signed(a) % signed(b)),
  8: (a, b) => (b === 0n ? undefined : a % b),
  9: (a, b) => a << amount(b),
  10: (a, b) => signed(a) >> amount(b),
  11: (a, b) => a >> amount(b),
  15: (a, b) => a & b,
  16: (a, b) => a | b,
  17: (a, b) => a ^ b,
  19: (a, b) => truth(a === b),
  20: (a, b) => truth(signed(a) < signed(b)),
  21: (a, b) => truth(a < b),
};
const REF: Readonly<Record<number, number>> = { 23: 1, 24: 2, 25: 4, 26: 8 };
const CONST: Readonly<Record<number, number>> = { 34: 1, 35: 2, 36: 4, 37: 8 };
const OP = {
  LOG_NOT: 14,
  BIT_NOT: 18,
  EXT: 22,
  IF_GOTO: 32,
  GOTO: 33,
  REG: 38,
  END: 39,
  DUP: 40,
  POP: 41,
  ZERO_EXT: 42,
  SWAP: 43,
  PICK: 50,
  ROT: 51,
} as const;

/** The word on top of the stack at the end; undefined if the bytecode is wrong or asks for what is not there. */
export function evaluate(code: Uint8Array, world: AgentWorld): bigint | undefined {
  const stack: bigint[] = [];
  let at = 0;
  const operand = (bytes: number): bigint => {
    let value = 0n;
    for (let i = 0; i < bytes; i++) value = (value << 8n) | BigInt(code[at++] ?? 0);
    return value;
  };
  for (let steps = 0; steps < MAX_STEPS && at < code.length && stack.length < MAX_STACK; steps++) {
    const op = code[at++]!;
    if (op === OP.END) return stack.at(-1);
    if (op === OP.GOTO) at = Number(operand(2));
    else if (op === OP.IF_GOTO) {
      const target = Number(operand(2));
      const condition = stack.pop();
      if (condition === undefined) return undefined;
      if (condition !== 0n) at = target;
    } else if (CONST[op] !== undefined) stack.push(operand(CONST[op]));
    else if (!compute(op, stack, operand, world)) return undefined;
  }
  return undefined;
}

/** Everything but constants and jumps. @returns false if it cannot be done */
function compute(op: number, stack: bigint[], operand: (bytes: number) => bigint, world: AgentWorld): boolean {
  if (op === OP.REG) return push(stack, world.register(Number(operand(2))));
  if (op === OP.PICK) return push(stack, stack.at(-1 - Number(operand(1))));
  const bits = op === OP.EXT || op === OP.ZERO_EXT ? Number(operand(1)) : 0;
  const b = stack.pop();
  if (b === undefined) return false;
  if (op === OP.POP) return true;
  if (op === OP.LOG_NOT) return push(stack, truth(b === 0n));
  if (op === OP.BIT_NOT) return push(stack, ~b);
  if (op === OP.EXT) return push(stack, bits <= 64 ? BigInt.asIntN(bits, b) : undefined);
  if (op === OP.ZERO_EXT) return push(stack, bits <= 64 ? BigInt.asUintN(bits, b) : undefined);
  if (op === OP.DUP) return push(stack, b) && push(stack, b);
  if (REF[op] !== undefined) return push(stack, world.memory(b, REF[op]));
  const a = stack.pop();
  if (a === undefined) return false;
  if (op === OP.SWAP) return push(stack, b) && push(stack, a);
  if (op === OP.ROT) {
    const c = stack.pop();
    return c !== undefined && push(stack, b) && push(stack, c) && push(stack, a);
  }
  return BINARY[op] !== undefined && push(stack, BINARY[op](a, b));
}

function push(stack: bigint[], value: bigint | undefined): boolean {
  if (value === undefined) return false;
  stack.push(BigInt.asUintN(64, value));
  return true;
}
