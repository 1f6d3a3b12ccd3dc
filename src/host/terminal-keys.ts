/**
 * What keys mean at a session's terminal. Without I/O, so that it can be tested key by key.
 *
 *     Ctrl-]          ends the session, as in `xl console`
 *     Ctrl-A c        a prompt for xl commands; the guest runs on. An empty line, Ctrl-D or Ctrl-A c leads back
 *     Ctrl-A Ctrl-A   one Ctrl-A for the guest; Ctrl-A a too
 *     Ctrl-A ?        this list
 *     all else        goes to the guest
 */
import { OPERATOR_HELP } from '../toolstack/operator.ts';

const CTRL_A = 0x01;
const CTRL_C = 0x03;
const CTRL_D = 0x04;
const CTRL_U = 0x15;
const CTRL_CLOSE_BRACKET = 0x1d;
const BACKSPACES: readonly number[] = [0x08, 0x7f];
const PROMPT = 'xl> ';
const MAX_COMMAND = 1000;

export const KEYS_HELP = '(Ctrl-] ends the session, Ctrl-A c leads to a prompt for xl commands, Ctrl-A ? lists keys)';
const LIST = `
Ctrl-]          ends the session
Ctrl-A c        a prompt for xl commands; an empty line leads back
Ctrl-A Ctrl-A   Ctrl-A for the guest
`;
const COMMANDS = `${OPERATOR_HELP}
${'console DOMAIN'.padEnd(22)} types at its console from now on, and shows it
${'help'.padEnd(22)} this list
`;

export class TerminalKeys {
  /** True after Ctrl-]. What follows it is lost. */
  ended = false;
  readonly #show: (text: string) => void;
  #guest: number[] = [];
  #commands: string[] = [];
  #escaped = false;
  /** What stands at the prompt, one character a byte; undefined when keys go to the guest. */
  #line: string | undefined;

  /** `show` writes to the terminal, which Node leaves to turn line feeds into new lines. */
  constructor(show: (text: string) => void) {
    this.#show = show;
  }

  /** Takes keys as they were typed. */
  type(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.ended) return;
      this.#key(byte);
    }
  }

  /** What the guest is to get, since the last call. */
  takeGuest(): Uint8Array | undefined {
    if (this.#guest.length === 0) return undefined;
    const bytes = Uint8Array.from(this.#guest);
    this.#guest = [];
    return bytes;
  }

  /** The next command that was entered. */
  takeCommand(): string | undefined {
    return this.#commands.shift();
  }

  get waiting(): boolean {
    return this.#guest.length > 0 || this.#commands.length > 0;
  }

  /** The last command taken is done: the prompt comes back with what was typed meanwhile. */
  answered(): void {
    if (this.#line !== undefined) this.#show(PROMPT + this.#line);
  }

  #key(byte: number): void {
    if (this.#escaped) {
      this.#escaped = false;
      this.#afterEscape(byte);
    } else if (byte === CTRL_CLOSE_BRACKET) this.ended = true;
    else if (byte === CTRL_A) this.#escaped = true;
    else if (this.#line === undefined) this.#guest.push(byte);
    else this.#edit(byte, this.#line);
  }

  #afterEscape(byte: number): void {
    const key = String.fromCharCode(byte);
    if (key === 'c') this.#toggle();
    else if (key === '?' || key === 'h') this.#show(LIST);
    else if (byte === CTRL_A || key === 'a') this.#guest.push(CTRL_A);
    else this.#guest.push(CTRL_A, byte);
  }

  #toggle(): void {
    this.#line = this.#line === undefined ? '' : undefined;
    this.#show(this.#line === undefined ? '\n' : `\n${PROMPT}`);
  }

  #edit(byte: number, line: string): void {
    if (byte === 0x0d || byte === 0x0a) this.#enter(line.trim());
    else if (BACKSPACES.includes(byte)) {
      if (line === '') return;
      this.#line = line.slice(0, -1);
      this.#show('\b \b');
    } else if (byte === CTRL_U || byte === CTRL_C) {
      this.#line = '';
      this.#show(`\r\x1b[K${PROMPT}`);
    } else if (byte === CTRL_D) {
      if (line === '') this.#toggle();
    } else if (byte >= 0x20 && line.length < MAX_COMMAND) {
      this.#line += String.fromCharCode(byte);
      this.#show(String.fromCharCode(byte));
    }
  }

  #enter(text: string): void {
    if (text === '') {
      this.#toggle();
      return;
    }
    this.#line = '';
    this.#show('\n');
    if (text === 'help' || text === '?' || text === 'xl help') this.#show(COMMANDS + PROMPT);
    else this.#commands.push(text);
  }
}
