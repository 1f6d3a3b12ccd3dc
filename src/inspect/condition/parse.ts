/** Reads conditions (`node.ts` says what they are): precedence climbing over one table of operators. */
import { KINDS } from '../../log/kinds.ts';
import { kindNamed } from '../../log/select.ts';
import type { BinaryOperator, EventAtom, Node } from './node.ts';
import { registerNamed } from './register-names.ts';

/** What is wrong with a condition, and where: the text with a caret below it. */
export class ConditionError extends RangeError {
  override readonly name = 'ConditionError';
  /** What is wrong, alone. */
  readonly problem: string;

  constructor(problem: string, text: string, at: number) {
    const line = text.replace(/\s/g, ' ');
    const from = Math.max(0, at - 60);
    super(`${problem}\n  ${line.slice(from, from + 100)}\n  ${' '.repeat(at - from)}^`);
    this.problem = problem;
  }
}

const MAX_TEXT = 4096;
const MAX_DEPTH = 64;
const PRECEDENCE: Readonly<Record<BinaryOperator, number>> = {
  '||': 1,
  '&&': 2,
  '==': 3,
  '!=': 3,
  '<=': 3,
  '>=': 3,
  '<': 3,
  '>': 3,
  '|': 4,
  '^': 5,
  '&': 6,
  '<<': 7,
  '>>': 7,
  '+': 8,
  '-': 8,
  '*': 9,
  '/': 9,
  '%': 9,
};
const COMPARISON = 3;
const OPERATOR = /\|\||&&|==|!=|<=|>=|<<|>>|[<>|^&+\-*/%]/y;
const NUMBER = /0x[0-9a-f][0-9a-f_]*|\d[\d_]*/iy;
const NAME = /\$?[A-Za-z_.][\w.$]*/y;
const QUOTED = /"(?:[^"\\]|\\.)*"/sy;
const SIZES: ReadonlyMap<string, { readonly length: number; readonly signed: boolean }> = new Map(
  [8, 16, 32, 64].flatMap((bits) => [
    [`u${bits}`, { length: bits / 8, signed: false }] as [string, { length: number; signed: boolean }],
    [`s${bits}`, { length: bits / 8, signed: true }] as [string, { length: number; signed: boolean }],
  ]),
);

/** @throws ConditionError for people */
export function parseCondition(text: string): Node {
  return new Parser(text).whole();
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    if (text.length > MAX_TEXT) throw new ConditionError('the condition is too long', text.slice(0, 100), 0);
    this.#text = text;
  }

  whole(): Node {
    const node = this.#binary(1);
    this.#space();
    if (this.#at < this.#text.length) {
      throw this.#error(
        this.#text[this.#at] === '=' ? '"=" compares nothing: write ==' : 'an operator was expected here',
      );
    }
    return node;
  }

  #binary(least: number): Node {
    let left = this.#unary();
    for (;;) {
      const at = this.#at;
      const operator = this.#match(OPERATOR) as BinaryOperator | undefined;
      if (operator === undefined) return left;
      const precedence = PRECEDENCE[operator];
      if (precedence < least) {
        this.#at = at;
        return left;
      }
      const right = this.#binary(precedence + 1);
      left = { kind: 'binary', operator, left, right };
      if (precedence === COMPARISON && this.#comparisonFollows()) {
        throw this.#error('comparisons do not chain: join two of them with &&');
      }
    }
  }

  #comparisonFollows(): boolean {
    const at = this.#at;
    const operator = this.#match(OPERATOR) as BinaryOperator | undefined;
    if (operator !== undefined && PRECEDENCE[operator] === COMPARISON) {
      this.#at = this.#at - operator.length;
      return true;
    }
    this.#at = at;
    return false;
  }

  #unary(): Node {
    if (++this.#depth > MAX_DEPTH) throw this.#error('the condition is nested too deeply');
    try {
      this.#space();
      const operator = this.#text[this.#at];
      if (operator !== '!' && operator !== '-' && operator !== '~') return this.#primary();
      this.#at++;
      return { kind: 'unary', operator, operand: this.#unary() };
    } finally {
      this.#depth--;
    }
  }

  #primary(): Node {
    this.#space();
    const at = this.#at;
    if (this.#take('(')) {
      const inside = this.#binary(1);
      this.#expect(')');
      return inside;
    }
    const digits = this.#match(NUMBER);
    if (digits !== undefined) {
      if (/[\w.]/.test(this.#text[this.#at] ?? ' ')) throw this.#error('this is no number', at);
      return { kind: 'number', value: BigInt(digits.replaceAll('_', '')) };
    }
    const name = this.#match(NAME);
    if (name === undefined)
      throw this.#error(at >= this.#text.length ? 'the condition ends too early' : 'a value was expected here', at);
    if (name === 'console' && this.#take(':')) return { kind: 'console', text: this.#quoted() };
    if (name === 'event') return this.#event();
    const size = SIZES.get(name);
    if (size !== undefined || name === 'mem') return this.#memory(size);
    if (this.#text[this.#at] === '(') throw this.#error(`there is no function ${name}: mem, u8 … u64, s8 … s64`, at);
    const register = registerNamed(name);
    if (register !== undefined) return { kind: 'register', register };
    if (name.startsWith('$')) throw this.#error(`there is no register ${name}`, at);
    return { kind: 'symbol', name };
  }

  #memory(size: { length: number; signed: boolean } | undefined): Node {
    this.#expect('(');
    const address = this.#binary(1);
    let length = size?.length ?? 8;
    if (size === undefined && this.#take(',')) {
      this.#space();
      const at = this.#at;
      length = Number(this.#match(NUMBER) ?? 0);
      if (![1, 2, 4, 8].includes(length)) throw this.#error('memory is read in 1, 2, 4 or 8 bytes', at);
    }
    this.#expect(')');
    return { kind: 'memory', address, length, signed: size?.signed ?? false };
  }

  #quoted(): string {
    this.#space();
    const at = this.#at;
    if (this.#text[at] !== '"') {
      // Without quotes, up to the next space.
      const word = this.#match(/[^\s"]+/y);
      if (word === undefined) throw this.#error('a text was expected here, such as console:"panic"', at);
      return word;
    }
    const quoted = this.#match(QUOTED);
    if (quoted === undefined) throw this.#error('the text lacks its closing quote', at);
    try {
      return JSON.parse(quoted) as string;
    } catch {
      throw this.#error('the text has an escape that JSON does not know', at);
    }
  }

  #event(): EventAtom {
    this.#take(':');
    this.#space();
    const at = this.#at;
    const kind = this.#match(/[\w-]+/y);
    if (kind === undefined) throw this.#error('the kind of an event was expected here', at);
    let name: EventAtom['name'];
    try {
      name = kindNamed(kind);
    } catch (error) {
      throw this.#error((error as Error).message, at);
    }
    const known = ['domain', 'vcpu', 'pcpu', ...Object.keys(KINDS[name].fields)];
    const fields: Record<string, string> = {};
    for (;;) {
      this.#space();
      const from = this.#at;
      const field = this.#match(/[A-Za-z][\w-]*(?==(?!=))/y);
      if (field === undefined) {
        if (this.#match(/[A-Za-z]\w*/y) !== undefined) throw this.#error('this is no FIELD=VALUE', from);
        return { kind: 'event', name, fields };
      }
      if (!known.includes(field)) throw this.#error(`${name} has no field ${field}; it has ${known.join(', ')}`, from);
      this.#at++;
      const value = this.#text[this.#at] === '"' ? this.#quoted() : this.#match(/[^\s"()&|]+/y);
      if (value === undefined) throw this.#error(`a value of ${field} was expected here`);
      fields[field] = value;
    }
  }

  #space(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  #match(pattern: RegExp): string | undefined {
    this.#space();
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #take(text: string): boolean {
    this.#space();
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw this.#error(`"${text}" is missing`);
  }

  #error(problem: string, at = this.#at): ConditionError {
    return new ConditionError(problem, this.#text, Math.min(at, this.#text.length));
  }
}
