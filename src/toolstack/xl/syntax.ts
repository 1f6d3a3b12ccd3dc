import { type Place, shown } from './error.ts';
import { Lexer, type Token } from './lexer.ts';

/** A value with its place in the file. Numbers keep their text: their base is decided where they are used. */
export type Value = Atom | List;
export interface Atom extends Place {
  readonly kind: 'string' | 'number';
  readonly text: string;
}
export interface List extends Place {
  readonly kind: 'list';
  readonly items: readonly Value[];
}

export interface Setting extends Place {
  readonly key: string;
  readonly value: Value;
}

const MAX_DEPTH = 16;

/**
 * Parses a whole file into its settings, in the order of their first assignment; a later `=` replaces, `+=` appends
 * to a list or a string, as xl does.
 * @throws ConfigError
 */
export function parseSyntax(text: string, file: string): Map<string, Setting> {
  return new Parser(new Lexer(text, file)).file();
}

class Parser {
  readonly #lexer: Lexer;
  #token: Token;

  constructor(lexer: Lexer) {
    this.#lexer = lexer;
    this.#token = lexer.next();
  }

  file(): Map<string, Setting> {
    const settings = new Map<string, Setting>();
    for (;;) {
      while (this.#token.kind === 'newline' || this.#is(';')) this.#advance();
      if (this.#token.kind === 'end') return settings;
      this.#assignment(settings);
      if (!this.#atStatementEnd()) this.#expected('the end of the line after a value');
    }
  }

  #assignment(settings: Map<string, Setting>): void {
    const name = this.#token;
    if (name.kind !== 'identifier') this.#expected('a setting such as name = "guest"');
    this.#advance();
    const append = this.#is('+=');
    if (!append && !this.#is('=')) this.#expected(`"=" after ${shown(name.text)}`);
    this.#advance();
    const value = this.#value(0);
    const old = settings.get(name.text);
    const merged = append && old !== undefined ? this.#join(old.value, value) : value;
    settings.set(name.text, { key: name.text, value: merged, line: name.line, column: name.column });
  }

  #value(depth: number): Value {
    const start = this.#token;
    if (start.kind === 'string' || start.kind === 'number') {
      this.#advance();
      return { kind: start.kind, text: start.text, line: start.line, column: start.column };
    }
    if (!this.#is('[')) this.#expected('a value: a "string", a number or a [list]');
    if (depth === MAX_DEPTH) this.#lexer.fail(start, `lists are nested more than ${MAX_DEPTH} deep`);
    this.#advance();
    const items: Value[] = [];
    for (;;) {
      this.#newlines();
      if (this.#is(']')) break;
      items.push(this.#value(depth + 1));
      this.#newlines();
      if (this.#is(']')) break;
      if (!this.#is(',')) this.#expected(`"," or "]" in the list of line ${start.line}`);
      this.#advance();
    }
    this.#advance();
    return { kind: 'list', items, line: start.line, column: start.column };
  }

  #join(old: Value, more: Value): Value {
    if (old.kind === 'list' && more.kind === 'list') {
      // In place: a copy for each += would take quadratic time.
      for (const item of more.items) (old.items as Value[]).push(item);
      return old;
    }
    if (old.kind !== 'list' && more.kind !== 'list') return { ...old, kind: 'string', text: old.text + more.text };
    return this.#lexer.fail(more, '+= joins a list to a list or a string to a string, not one to the other');
  }

  #atStatementEnd(): boolean {
    return this.#token.kind === 'newline' || this.#token.kind === 'end' || this.#is(';');
  }

  #newlines(): void {
    while (this.#token.kind === 'newline') this.#advance();
  }

  #is(punctuation: string): boolean {
    return this.#token.kind === 'punctuation' && this.#token.text === punctuation;
  }

  #advance(): void {
    this.#token = this.#lexer.next();
  }

  #expected(what: string): never {
    const { kind, text } = this.#token;
    const found = kind === 'end' ? 'the end of the file' : kind === 'newline' ? 'the end of the line' : shown(text);
    return this.#lexer.fail(this.#token, `expected ${what}, found ${found}`);
  }
}
