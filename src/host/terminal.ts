/** The terminal as the console of a guest: keys as they are typed, Ctrl-] ends, as in `xl console`. */
import type { Keyboard } from './recorder.ts';

const CTRL_CLOSE_BRACKET = 0x1d;

export class TerminalKeyboard implements Keyboard {
  ended: 'asked' | 'closed' | undefined;
  readonly #raw: boolean;
  #typed: Uint8Array[] = [];
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
    if (this.#typed.length === 0) return undefined;
    const bytes = new Uint8Array(Buffer.concat(this.#typed));
    this.#typed = [];
    return bytes;
  }

  wait(ms: number): Promise<void> {
    return new Promise((done) => {
      if (ms === 0 || this.#typed.length > 0) {
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
    const end = this.#raw ? data.indexOf(CTRL_CLOSE_BRACKET) : -1;
    const typed = end < 0 ? data : data.subarray(0, end);
    if (typed.length > 0) this.#typed.push(new Uint8Array(typed));
    if (end >= 0) this.#end('asked');
    this.#wake?.();
  }

  #end(why: 'asked' | 'closed'): void {
    this.ended ??= why;
    this.#wake?.();
  }
}
