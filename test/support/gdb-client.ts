/** A client of gdb's port for tests: packets over a socket, without gdb. */
import { connect, type Socket } from 'node:net';
import { framePacket } from '../../src/debug/rsp/framing.ts';

export class GdbClient {
  readonly socket: Socket;
  #received = '';
  #wake: (() => void) | undefined;
  closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data) => {
      this.#received += data.toString('latin1');
      this.#wake?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.#wake?.();
    });
  }

  static open(port: number): Promise<GdbClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new GdbClient(socket)));
      socket.once('error', reject);
    });
  }

  /** Whatever came and was not taken. */
  take(): string {
    const all = this.#received;
    this.#received = '';
    return all;
  }

  /** Sends a packet. @returns the data of the next packet that comes */
  async ask(data: string): Promise<string> {
    this.socket.write(framePacket(data));
    return await this.next();
  }

  /** The data of the next packet that comes. */
  async next(): Promise<string> {
    for (;;) {
      const [whole, answer] = /^[^$]*\$([^#]*)#[0-9a-f]{2}/s.exec(this.#received) ?? [];
      if (whole !== undefined) {
        this.#received = this.#received.slice(whole.length);
        return answer!;
      }
      if (this.closed) throw new Error('the connection was closed before an answer came');
      await this.#more();
    }
  }

  /** Settles when the other side has closed. */
  async end(): Promise<void> {
    while (!this.closed) await this.#more();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
