/**
 * Scripts that drive consoles instead of a person: the language of `rexen record --script FILE`.
 *
 *     # comment
 *     expect "grub> "       wait until this text comes out of the console
 *     send "ls\n"           type; escapes: \n \r \t \e \0 \xHH \" \\
 *     wait 5000000          let so many ticks pass
 *     domain web            from here on, expect and send mean this domain's console (at first: the first domain's)
 *     xl mem-set web 64     an operator's command, as rexen record --help lists them; xl list and its like print
 *     end                   end the session here
 *
 * Running a script is a function of console output and ticks alone, so two recordings of one script are the same
 * session. `expect` looks at what came out since the last `expect` of that console was met, or since the start. It is given
 * up when nothing can happen any more, or nothing was printed for ten minutes of the guests' time (`wait` for longer).
 */

import { type OperatorCommand, parseOperator } from '../toolstack/operator.ts';

/** `text` is bytes, one character a byte. */
export type ScriptLine =
  | { readonly line: number; readonly do: 'expect'; readonly text: string }
  | { readonly line: number; readonly do: 'send'; readonly text: string }
  | { readonly line: number; readonly do: 'wait'; readonly ticks: number }
  | { readonly line: number; readonly do: 'domain'; readonly name: string }
  | { readonly line: number; readonly do: 'xl'; readonly command: OperatorCommand }
  | { readonly line: number; readonly do: 'end' };

export interface Script {
  readonly file: string;
  readonly lines: readonly ScriptLine[];
}

/** A script that cannot be run. The message reads `FILE:LINE: what is wrong; what to do`. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';

  constructor(file: string, line: number, what: string) {
    super(`${file}:${line}: ${what}`);
  }
}

const MAX_SCRIPT_BYTES = 1 << 20;
/** A console's output kept for `expect`. */
const MAX_KEPT = 1 << 16;

/** @throws ScriptError */
export function parseScript(text: string, file: string): Script {
  if (text.length > MAX_SCRIPT_BYTES) throw new ScriptError(file, 1, 'the script is larger than 1 MiB');
  const lines: ScriptLine[] = [];
  for (const [i, raw] of text.split('\n').entries()) {
    const trimmed = raw.trim();
    if (trimmed !== '' && !trimmed.startsWith('#')) lines.push(parseLine(trimmed, file, i + 1));
  }
  return { file, lines };
}

function parseLine(text: string, file: string, line: number): ScriptLine {
  const [, word, rest] = /^(\S+)\s*(.*)$/s.exec(text)!;
  const fail = (what: string) => new ScriptError(file, line, what);
  switch (word) {
    case 'expect':
    case 'send': {
      const string = parseString(rest, fail);
      if (string === '') throw fail(`${word} needs text that is not empty`);
      return { line, do: word, text: string };
    }
    case 'wait': {
      const digits = /^(\d[\d_,]*)\s*(#.*)?$/.exec(rest)?.[1].replace(/[_,]/g, '');
      const count = Number(digits);
      if (digits === undefined || !Number.isSafeInteger(count))
        throw fail('wait needs a number of ticks: wait 1000000');
      return { line, do: 'wait', ticks: count };
    }
    case 'domain': {
      const name = rest.startsWith('"') ? parseString(rest, fail) : (/^(\S+)\s*(#.*)?$/.exec(rest)?.[1] ?? '');
      if (name === '') throw fail('domain needs the name of one domain: domain web');
      return { line, do: 'domain', name };
    }
    case 'xl':
      try {
        return { line, do: 'xl', command: parseOperator(rest.replace(/\s#.*$/, '')) };
      } catch (error) {
        throw fail((error as Error).message);
      }
    case 'end':
      if (!/^(#.*)?$/.test(rest)) throw fail('nothing may follow end');
      return { line, do: 'end' };
    default: {
      const shown = word.slice(0, 30).replace(/[^\x20-\x7e]/g, '?');
      throw fail(`"${shown}" is no command; the commands are expect, send, wait, domain, xl and end`);
    }
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  e: '\x1b',
  '0': '\0',
  '"': '"',
  '\\': '\\',
};

/** The bytes between the quotes, one character a byte: text becomes UTF-8, \xHH is a byte. */
function parseString(text: string, fail: (what: string) => ScriptError): string {
  if (!text.startsWith('"')) throw fail('text must stand in double quotes');
  let out = '';
  for (let i = 1; i < text.length; i++) {
    const char = String.fromCodePoint(text.codePointAt(i)!);
    if (char === '"') {
      if (!/^\s*(#.*)?$/.test(text.slice(i + 1))) throw fail('nothing may follow the closing quote');
      return out;
    }
    if (char !== '\\') {
      out += Buffer.from(char, 'utf8').toString('latin1');
      i += char.length - 1;
      continue;
    }
    const letter = text[++i] ?? '';
    const hex = letter === 'x' ? /^[0-9a-fA-F]{2}/.exec(text.slice(i + 1))?.[0] : undefined;
    if (hex) {
      out += String.fromCharCode(Number.parseInt(hex, 16));
      i += 2;
    } else if (Object.hasOwn(ESCAPES, letter)) out += ESCAPES[letter];
    else throw fail(`\\${letter} is no escape; there are \\n \\r \\t \\e \\0 \\xHH \\" \\\\`);
  }
  throw fail('the closing quote is missing');
}

/** What a script wants next. */
export type ScriptStep =
  | { readonly do: 'send'; readonly domain: string; readonly bytes: Uint8Array }
  | { readonly do: 'xl'; readonly command: OperatorCommand }
  /** Come back at `until`. */
  | { readonly do: 'wait'; readonly until: number }
  /** Come back when there was console output. */
  | { readonly do: 'expect' }
  /** The script is through; `explicit` if it said `end`. */
  | { readonly do: 'end'; readonly explicit: boolean };

/** What drives a session instead of a person. The caller tells it what consoles print and asks for steps until one waits. */
export interface Driver {
  onOutput(domain: string, bytes: Uint8Array): void;
  /** The next step at tick `now`. After `send` and `xl`, ask again. */
  next(now: number): ScriptStep;
  /** Nothing can happen any more in the machine: a `wait` is over at once. @returns false if there is none */
  skipWait(): boolean;
  /** The `expect` that it waits for, in words; undefined if it does not wait for one. */
  readonly unmet: string | undefined;
}

/** Runs a script. */
export class ScriptRunner implements Driver {
  readonly #script: Script;
  #domain: string;
  #at = 0;
  #waitUntil: number | undefined;
  /** What each console printed and no `expect` has passed yet, one character a byte. */
  readonly #output = new Map<string, string>();

  /**
   * @param domains all there are
   * @param first whose console it drives until it says `domain`
   * @throws ScriptError if it names a domain that there is not.
   */
  constructor(script: Script, domains: readonly string[], first: string = domains[0] ?? '') {
    this.#script = script;
    this.#domain = first;
    for (const line of script.lines) {
      if (line.do === 'domain' && !domains.includes(line.name)) {
        throw new ScriptError(
          script.file,
          line.line,
          `no domain is named "${line.name}"; there are: ${domains.join(', ')}`,
        );
      }
    }
  }

  onOutput(domain: string, bytes: Uint8Array): void {
    const kept = (this.#output.get(domain) ?? '') + Buffer.from(bytes).toString('latin1');
    this.#output.set(domain, kept.slice(-MAX_KEPT));
  }

  next(now: number): ScriptStep {
    for (;;) {
      const line = this.#script.lines[this.#at];
      if (!line || line.do === 'end') return { do: 'end', explicit: line !== undefined };
      if (line.do === 'expect') {
        if (!this.#met(line.text)) return { do: 'expect' };
      } else if (line.do === 'wait') {
        this.#waitUntil ??= now + line.ticks;
        if (now < this.#waitUntil) return { do: 'wait', until: this.#waitUntil };
        this.#waitUntil = undefined;
      } else if (line.do === 'domain') {
        this.#domain = line.name;
      }
      this.#at++;
      if (line.do === 'send')
        return { do: 'send', domain: this.#domain, bytes: new Uint8Array(Buffer.from(line.text, 'latin1')) };
      if (line.do === 'xl') return { do: 'xl', command: line.command };
    }
  }

  /** The tick that it waits for; undefined if it does not wait for one. */
  get until(): number | undefined {
    return this.#waitUntil;
  }

  skipWait(): boolean {
    if (this.#script.lines[this.#at]?.do !== 'wait') return false;
    this.#waitUntil = undefined;
    this.#at++;
    return true;
  }

  get unmet(): string | undefined {
    const line = this.#script.lines[this.#at];
    if (line?.do !== 'expect') return undefined;
    const last = (this.#output.get(this.#domain) ?? '').trimEnd().split('\n').slice(-3).join('\n').slice(-200);
    return (
      `${this.#script.file}:${line.line}: expect ${JSON.stringify(line.text)} was not met; ` +
      `the console of ${this.#domain} ended with ${JSON.stringify(last)}`
    );
  }

  #met(text: string): boolean {
    const kept = this.#output.get(this.#domain) ?? '';
    const at = kept.indexOf(text);
    if (at < 0) return false;
    this.#output.set(this.#domain, kept.slice(at + text.length));
    return true;
  }
}
