/**
 * One gdb's connection as a state machine: bytes in, bytes out, no I/O.
 *
 *     const stub = new Stub(target);
 *     send(stub.push(bytes));                              // on data
 *     while (stub.busy) { const { out, until } = stub.work(); send(out); await until; }    // data comes in between
 */
import { type DebugTarget, processOf, type Stopped, type Work } from '../target.ts';
import { Conversation, errorText, OK } from './conversation.ts';
import { framePacket, PacketParser, toHex } from './framing.ts';
import { answer } from './packets.ts';

const SIGINT = '02';
const SIGTRAP = '05';
const MAX_WAITING = 16;
/** gdb takes long output in pieces. */
const OUTPUT_PIECE = 4000;

/** What a piece of work came to. */
export interface Piece {
  readonly out: Uint8Array;
  /** Nothing to do before this settles. */
  readonly until: Promise<void> | undefined;
}

export class Stub {
  readonly #parser = new PacketParser();
  readonly #c: Conversation;
  /** What is under way; its answer goes to gdb. */
  #work: Work<string> | undefined;
  #last: Stopped;
  /** Packets that go out before the answer of what is under way. */
  #ahead: string[] = [];
  /** Packets that came while something moved; gdb sends none, but anybody can connect. */
  readonly #waiting: string[] = [];

  constructor(target: DebugTarget) {
    this.#c = new Conversation(target);
    this.#last = target.joined();
  }

  /** Something is under way: call `work`. */
  get busy(): boolean {
    return this.#work !== undefined;
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
        if (this.#work === undefined) this.#packet(piece.data, out);
        else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(piece.data);
      }
    }
    return join(out);
  }

  /** Works on for a piece. */
  work(): Piece {
    const out: Uint8Array[] = [];
    const step = this.#work?.next();
    if (step === undefined) return { out: join([]), until: undefined };
    if (!step.done) return { out: join([]), until: step.value ?? undefined };
    this.#work = undefined;
    out.push(...this.#ahead.splice(0).map(framePacket), framePacket(step.value));
    for (let data = this.#waiting.shift(); data !== undefined; data = this.busy ? undefined : this.#waiting.shift()) {
      this.#packet(data, out);
    }
    return { out: join(out), until: undefined };
  }

  /** The connection is gone: what moves stops where it is. After a goodbye the target is free. */
  abandon(): void {
    if (this.#work !== undefined) {
      this.#work.return('');
      this.#work = undefined;
      this.#c.target.interrupted();
    }
    if (this.#c.closed) this.#c.target.left();
  }

  #packet(data: string, out: Uint8Array[]): void {
    const result = answer(this.#c, data);
    if (typeof result === 'string') out.push(framePacket(result));
    else if ('work' in result) this.#work = this.#monitor(result.work);
    else if (result.motion.kind === 'none') out.push(framePacket(this.#where()));
    else this.#work = this.#move(this.#c.target.move(result.motion));
  }

  *#move(motion: Work<Stopped>): Work<string> {
    try {
      return this.#stopped(yield* motion);
    } catch (error) {
      if (error instanceof RangeError) return errorText(error.message);
      throw error;
    }
  }

  /** Long output goes ahead in pieces, the last one is the answer. */
  *#monitor(work: Work<string>): Work<string> {
    const text = Buffer.from(yield* work, 'utf8');
    const pieces: string[] = [];
    for (let at = 0; at < text.length; at += OUTPUT_PIECE) pieces.push(toHex(text.subarray(at, at + OUTPUT_PIECE)));
    this.#ahead = pieces.slice(0, -1).map((piece) => `O${piece}`);
    return pieces.at(-1) ?? OK;
  }

  #interrupt(out: Uint8Array[]): void {
    if (this.#work === undefined) return;
    this.#work.return('');
    this.#work = undefined;
    out.push(framePacket(this.#stopped(this.#c.target.interrupted())));
  }

  #stopped(stopped: Stopped): string {
    this.#last = stopped;
    this.#c.general = stopped.thread;
    this.#c.selected = stopped.thread;
    if (stopped.reason === 'exited') this.#c.closed = !this.#c.extended;
    return this.#stopReply(stopped);
  }

  /** The answer to `?`. gdb takes it that what it asks next is meant for the thread named here. */
  #where(): string {
    this.#c.general = this.#last.thread;
    return this.#stopReply(this.#last);
  }

  #stopReply({ thread, reason, address }: Stopped): string {
    if (reason === 'exited') return this.#c.multiprocess ? `W00;process:${processOf(thread).toString(16)}` : 'W00';
    const at = (address ?? 0n).toString(16);
    const why: Readonly<Record<Exclude<Stopped['reason'], 'exited'>, string>> = {
      step: '',
      interrupt: '',
      break: this.#c.tellsBreakpoints ? 'swbreak:;' : '',
      hbreak: this.#c.tellsBreakpoints ? 'hwbreak:;' : '',
      watch: `watch:${at};`,
      rwatch: `rwatch:${at};`,
      awatch: `awatch:${at};`,
      begin: 'replaylog:begin;',
      end: 'replaylog:end;',
    };
    return `T${reason === 'interrupt' ? SIGINT : SIGTRAP}thread:${this.#c.format(thread)};${why[reason]}`;
  }
}

const ACK = Uint8Array.of(0x2b);
const NAK = Uint8Array.of(0x2d);

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
