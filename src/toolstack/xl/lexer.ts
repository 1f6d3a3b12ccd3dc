import { ConfigError, type Place, shown } from './error.ts';

/** `punctuation` tokens hold their own text: = += [ ] , ; and newline. */
export type TokenKind = 'identifier' | 'number' | 'string' | 'punctuation' | 'newline' | 'end';

export interface Token extends Place {
  readonly kind: TokenKind;
  readonly text: string;
}

/** More than any hand-written configuration; a larger file is not one. */
export const MAX_CONFIG_CHARACTERS = 1 << 20;

const SPACE = /[ \t\r\f\v]+/y;
const COMMENT = /#[^\n]*/y;
const CONTINUATION = /\\\r?\n/y;
const IDENTIFIER = /[A-Za-z_][._0-9A-Za-z]*/y;
const NUMBER = /[0-9][0-9A-Za-z]*/y;
const PUNCTUATION = /\+=|[=[\],;]/y;
const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '\\': '\\',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/**
 * Cuts xl's configuration language into tokens: xl.cfg(5) SYNTAX. A backslash at a line's end continues the line,
 * which xl itself does not know. @throws ConfigError
 */
export class Lexer {
  readonly #text: string;
  readonly #file: string;
  #at = 0;
  #line = 1;
  #lineStart = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
    if (text.length > MAX_CONFIG_CHARACTERS)
      this.fail(
        this.#place(),
        `the file has ${text.length} characters, at most ${MAX_CONFIG_CHARACTERS} are read; is it a configuration?`,
      );
  }

  fail(place: Place, what: string): never {
    throw new ConfigError(this.#file, place, what);
  }

  next(): Token {
    this.#skip();
    const place = this.#place();
    if (this.#at >= this.#text.length) return { ...place, kind: 'end', text: '' };
    const c = this.#text[this.#at]!;
    if (c === '\n') {
      this.#at++;
      this.#newLine();
      return { ...place, kind: 'newline', text: '\n' };
    }
    if (c === '"' || c === "'") return { ...place, kind: 'string', text: this.#string(c, place) };
    const punctuation = this.#match(PUNCTUATION);
    if (punctuation !== undefined) return { ...place, kind: 'punctuation', text: punctuation };
    const number = this.#match(NUMBER);
    if (number !== undefined) return { ...place, kind: 'number', text: number };
    const identifier = this.#match(IDENTIFIER);
    if (identifier !== undefined) return { ...place, kind: 'identifier', text: identifier };
    return this.fail(place, `unexpected character ${shown(c)}; strings need quotes`);
  }

  #skip(): void {
    for (;;) {
      if (this.#match(SPACE) !== undefined) continue;
      if (this.#match(COMMENT) !== undefined) continue;
      if (this.#match(CONTINUATION) === undefined) return;
      this.#newLine();
    }
  }

  #string(quote: string, start: Place): string {
    const parts: string[] = [];
    this.#at++;
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined || c === '\n')
        return this.fail(start, `the string that starts here has no closing ${quote} on its line`);
      this.#at++;
      if (c === quote) return parts.join('');
      parts.push(c === '\\' ? this.#escape() : c);
    }
  }

  /** What follows a backslash in quotes: a letter of the table, xHH, or 1 to 3 octal digits. */
  #escape(): string {
    const place = this.#place();
    const c = this.#text[this.#at] ?? '';
    const simple = Object.hasOwn(SIMPLE_ESCAPES, c) ? SIMPLE_ESCAPES[c] : undefined;
    if (simple !== undefined) {
      this.#at++;
      return simple;
    }
    const hex = this.#match(/x([0-9a-fA-F]{2})/y);
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex.slice(1), 16));
    const octal = this.#match(/[0-7]{1,3}/y);
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
    return this.fail(place, 'unknown escape after the backslash; write \\\\ for a backslash');
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#at += found[0].length;
    return found[0];
  }

  #newLine(): void {
    this.#line++;
    this.#lineStart = this.#at;
  }

  #place(): Place {
    return { line: this.#line, column: this.#at - this.#lineStart + 1 };
  }
}
