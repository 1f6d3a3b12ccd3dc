/**
 * One gdb's connection as a state machine: bytes in, bytes out, no I/O.
 *
 *     const stub = new Stub(target);
 *     send(stub.push(bytes));                              // on data
 *     while (stub.busy) { send(stub.work()); … }           // a piece of motion at a time, data in between
 */
import type { DebugTarget, Stopped } from '../target.ts';
import { framePacket, PacketParser } from './framing.ts';
import { answer, type Conversation } from './packets.ts';

const SIGINT = '02';
const SIGTRAP = '05';

export class Stub {
  readonly #parser = new PacketParser();
  readonly #c: Conversation;
  #motion: Generator<void, Stopped> | undefined;
  #last: Stopped;
  /** Packets that came while something moved; gdb sends none, but anybody can connect. */
  readonly #waiting: string[] = [];

  constructor(target: DebugTarget) {
    this.#c = { target, general: 0, moving: 0, acknowledges: true, closed: false };
    this.#last = { thread: target.current, reason: 'step' };
  }

  /** Something moves: call `work`. */
  get busy(): boolean {
    return this.#motion !== undefined;
  }
  /** gdb said goodbye. */
  get closed(): boolean {
    return this.#c.closed;
  }

  /** @returns what to send */
  push(bytes: Uint8Array): Uint8Array {
    const out: Uint8Array[] = [];
    for (const piece of this.#parser.push(bytes)) {
      if (piece.kind === 'interrupt') this.#interrupt(out);
      else if (piece.kind === 'bad') {
        if (this.#c.acknowledges) out.push(NAK);
      } else {
        if (this.#c.acknowledges) out.push(ACK);
        if (this.#motion === undefined) this.#packet(piece.data, out);
        else if (this.#waiting.length < 16) this.#waiting.push(piece.data);
      }
    }
    return join(out);
  }

  /** Moves on by a piece. @returns what to send: nothing, or the stop reply */
  work(): Uint8Array {
    const motion = this.#motion;
    if (motion === undefined) return join([]);
    const step = motion.next();
    if (!step.done) return join([]);
    const out: Uint8Array[] = [];
    this.#stopped(step.value, out);
    return join(out);
  }

  #packet(data: string, out: Uint8Array[]): void {
    const result = answer(this.#c, data);
    if (typeof result === 'string') out.push(framePacket(result));
    else if (result.motion.kind === 'none') out.push(framePacket(this.#stopReply(this.#last)));
    else this.#motion = this.#c.target.move(result.motion);
  }

  #interrupt(out: Uint8Array[]): void {
    if (this.#motion === undefined) return;
    this.#motion.return(undefined as never);
    this.#stopped(this.#c.target.interrupted(), out);
  }

  #stopped(stopped: Stopped, out: Uint8Array[]): void {
    this.#motion = undefined;
    this.#last = stopped;
    this.#c.general = stopped.thread;
    out.push(framePacket(this.#stopReply(stopped)));
    for (let data = this.#waiting.shift(); data !== undefined && !this.busy; data = this.#waiting.shift()) {
      this.#packet(data, out);
    }
  }

  #stopReply({ thread, reason, address }: Stopped): string {
    const signal = reason === 'interrupt' ? SIGINT : SIGTRAP;
    const why: Readonly<Record<Stopped['reason'], string>> = {
      step: '',
      interrupt: '',
      break: 'swbreak:;',
      watch: `watch:${(address ?? 0n).toString(16)};`,
      rwatch: `rwatch:${(address ?? 0n).toString(16)};`,
      awatch: `awatch:${(address ?? 0n).toString(16)};`,
      begin: 'replaylog:begin;',
      end: 'replaylog:end;',
    };
    return `T${signal}thread:${thread.toString(16)};${why[reason]}`;
  }
}

const ACK = Uint8Array.of(0x2b);
const NAK = Uint8Array.of(0x2d);

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
