/** The terminal as the console of a guest: keys as they are typed, but for those that `TerminalKeys` keeps. */
import type { Keyboard } from './recorder.ts';
import { TerminalKeys } from './terminal-keys.ts';

export class TerminalKeyboard implements Keyboard {
  ended: 'asked' | 'closed' | undefined;
  readonly #raw: boolean;
  readonly #keys = new TerminalKeys((text) => process.stdout.write(text));
  /** From a pipe, where no byte means anything to us. */
  #piped: Uint8Array[] = [];
  #wake: (() => void) | undefined;

  constructor() {
    const { stdin } = process;
    this.#raw = stdin.isTTY === true;
    if (this.#raw) stdin.setRawMode(true);
    stdin.on('data', (data: Buffer) => this.#take(data));
    stdin.on('end', () => this.#end('closed'));
    stdin.on('error', () => this.#end('closed'));
    stdin.resume();
  }

  take(): Uint8Array | undefined {
    if (this.#raw) return this.#keys.takeGuest();
    if (this.#piped.length === 0) return undefined;
    const bytes = new Uint8Array(Buffer.concat(this.#piped));
    this.#piped = [];
    return bytes;
  }

  takeCommand(): string | undefined {
    return this.#keys.takeCommand();
  }

  answered(): void {
    this.#keys.answered();
  }

  wait(ms: number): Promise<void> {
    return new Promise((done) => {
      if (ms === 0 || this.#piped.length > 0 || this.#keys.waiting) {
        setImmediate(done);
        return;
      }
      const timer = setTimeout(done, ms);
      this.#wake = () => {
        clearTimeout(timer);
        done();
      };
    });
  }

  /** Gives the terminal back. */
  close(): void {
    if (this.#raw) process.stdin.setRawMode(false);
    process.stdin.pause();
    process.stdin.removeAllListeners('data');
  }

  #take(data: Buffer): void {
    if (this.#raw) this.#keys.type(data);
    else this.#piped.push(new Uint8Array(data));
    if (this.#keys.ended) this.#end('asked');
    this.#wake?.();
  }

  #end(why: 'asked' | 'closed'): void {
    this.ended ??= why;
    this.#wake?.();
  }
}
