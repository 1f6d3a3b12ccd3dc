/** Standard output and the progress line. */
import { once } from 'node:events';

const CHUNK_CHARS = 1 << 16;

/** A reader that goes away (`rexen events … | head`) is no error. Call once. */
export function quietPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: { code?: string }) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

/** Text to standard output in large pieces, as fast as the reader takes it. Quiet if the reader goes away. */
export class Output {
  #pending = '';
  #closed = false;

  constructor() {
    process.stdout.on('error', () => {
      this.#closed = true;
    });
  }

  /** True when the reader has gone: stop producing. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Adds a line. Await the result now and then: it is a promise only when the reader is slow. */
  line(text: string): Promise<void> | undefined {
    this.#pending += `${text}\n`;
    return this.#pending.length >= CHUNK_CHARS ? this.flush() : undefined;
  }

  async flush(): Promise<void> {
    const text = this.#pending;
    this.#pending = '';
    if (text === '' || this.#closed) return;
    if (process.stdout.write(text)) return;
    await once(process.stdout, 'drain').catch(() => {
      this.#closed = true;
    });
  }
}

/** One line on a terminal that is written over; nothing in a pipe. */
export class Progress {
  readonly #shown = process.stderr.isTTY === true;
  #last = 0;

  update(text: () => string): void {
    if (!this.#shown) return;
    const now = performance.now();
    if (now - this.#last < 100) return;
    this.#last = now;
    process.stderr.write(`\r\x1b[K${text().slice(0, (process.stderr.columns ?? 80) - 1)}`);
  }

  done(): void {
    if (this.#shown && this.#last > 0) process.stderr.write('\r\x1b[K');
  }
}

/** Seconds of host time, for figures. */
export function hostSeconds(): number {
  return performance.now() / 1000;
}

/** Now, ISO 8601 in UTC. */
export function hostDate(): string {
  return new Date().toISOString();
}

/** Now, milliseconds since 1970. */
export function hostUnixMs(): number {
  return Date.now();
}
