/**
 * The event log while a machine runs. Appending writes one fixed-size record (record.ts) into a ring and allocates
 * nothing; full rings, and whoever calls `flush`, drain it in batches to sinks (a recording, live subscribers).
 *
 *     const log = new EventLog(() => machine.now());
 *     log.where.domain = 1; log.where.vcpu = 0; log.where.pcpu = 0;      // on every context switch
 *     log.append(KIND['evtchn-send'], port);                             // hot
 *     log.emit('domain-create', { name: 'web' });                        // typed, slower, for rare kinds
 *
 * Two places look at records: `verifier`, synchronously at each append (a replay; what it throws stops the machine),
 * and sinks, a batch at a time (what they throw is kept in `failure` and never reaches the machine).
 */
import { Observable, type Subscriber } from 'rxjs';
import type { Ticks } from '../base/ticks.ts';
import { decodeRecord, encodeFields } from './decode.ts';
import { type CreateHash, type Hash, LogDigest } from './digest.ts';
import type { EventFields, MachineEvent } from './event.ts';
import { DOMID_XEN, type KindName } from './kinds.ts';
import { BLOB_LENGTH_WORD, LAYOUTS, MAX_EVENT_BYTES, NONE_16, RECORD_BYTES, RECORD_WORDS } from './record.ts';

const TWO_32 = 0x1_0000_0000;

/** A run of records. Valid only during the call it is given to: copy what must stay. */
export interface RecordBatch {
  readonly words: Uint32Array;
  readonly count: number;
  /** Sequence number of the first record. */
  readonly firstSeq: number;
  readonly blobs: Uint8Array;
  /** What word 14 of a record says for `blobs[0]`. */
  readonly blobBase: number;
}

export interface LogSink {
  batch(batch: RecordBatch): void;
}

export interface RecordVerifier {
  /**
   * Looks at the record that is being appended as number `seq`: at `words[base]`, its bytes at `blobs[blobAt]`.
   * May throw to keep it off the log and stop the machine.
   */
  check(seq: number, words: Uint32Array, base: number, blobs: Uint8Array, blobAt: number): void;
}

export interface EventLogOptions {
  /** Records in the ring; a power of two is not needed. */
  capacity?: number;
  /** SHA-256 (host side); without it `digest()` is undefined. */
  createHash?: CreateHash;
}

/** Where events happen unless told otherwise. Set by the machine on each context switch. */
export interface Where {
  domain: number;
  /** 0xffff or -1: none. */
  vcpu: number;
  pcpu: number;
}

/** A place on a log. */
export interface LogState {
  readonly where: Where;
  readonly seq: number;
  readonly blobBase: number;
  /** Only of a log that computes one. Hash objects of the host: such a state stays in memory. */
  readonly digest?: { readonly records: Hash; readonly bytes: Hash };
}

export class EventLog {
  readonly where: Where = { domain: DOMID_XEN, vcpu: NONE_16, pcpu: NONE_16 };
  /** Called at each append, synchronously. */
  verifier: RecordVerifier | undefined;
  /** The first error thrown by a sink, which was then taken off. The session looks at it between turns. */
  failure: unknown;

  readonly #now: () => Ticks;
  readonly #capacity: number;
  readonly #words: Uint32Array;
  #blobs = new Uint8Array(256 << 10);
  #used = 0;
  /** Records that fit before the slow path: 0 while draining, so that an observer's append is caught there. */
  #limit: number;
  #firstSeq = 0;
  #blobUsed = 0;
  #blobBase = 0;
  #sinks: LogSink[] = [];
  readonly #subscribers = new Set<Subscriber<MachineEvent>>();
  readonly #digest: LogDigest | undefined;

  constructor(now: () => Ticks, options: EventLogOptions = {}) {
    this.#now = now;
    this.#capacity = options.capacity ?? 8192;
    this.#limit = this.#capacity;
    this.#words = new Uint32Array(this.#capacity * RECORD_WORDS);
    this.#digest = options.createHash && new LogDigest(options.createHash);
  }

  /** Sequence number of the next event = number of events so far. */
  get seq(): number {
    return this.#firstSeq + this.#used;
  }

  /** Appends a record of a kind without bytes. `w0…` are the words of its fields in the table's order. */
  append(
    kind: number,
    w0 = 0,
    w1 = 0,
    w2 = 0,
    w3 = 0,
    w4 = 0,
    w5 = 0,
    w6 = 0,
    w7 = 0,
    w8 = 0,
    w9 = 0,
    w10 = 0,
    w11 = 0,
  ): void {
    const where = this.where;
    this.appendAt(where.domain, where.vcpu, kind, w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11);
  }

  /** As `append`, for another domain and vcpu than the running one (vcpu -1: none). */
  appendAt(
    domain: number,
    vcpu: number,
    kind: number,
    w0 = 0,
    w1 = 0,
    w2 = 0,
    w3 = 0,
    w4 = 0,
    w5 = 0,
    w6 = 0,
    w7 = 0,
    w8 = 0,
    w9 = 0,
    w10 = 0,
    w11 = 0,
  ): void {
    if (this.#used >= this.#limit) this.#makeRoom(0);
    const words = this.#words;
    const p = this.#used * RECORD_WORDS;
    const tick = this.#now();
    words[p] = kind | (domain << 16);
    words[p + 1] = (vcpu & NONE_16) | (this.where.pcpu << 16);
    words[p + 2] = tick;
    words[p + 3] = tick / TWO_32;
    words[p + 4] = w0;
    words[p + 5] = w1;
    words[p + 6] = w2;
    words[p + 7] = w3;
    words[p + 8] = w4;
    words[p + 9] = w5;
    words[p + 10] = w6;
    words[p + 11] = w7;
    words[p + 12] = w8;
    words[p + 13] = w9;
    words[p + 14] = w10;
    words[p + 15] = w11;
    // Before it counts: what a replay refuses is not on the log.
    if (this.verifier !== undefined) this.verifier.check(this.seq, words, p, this.#blobs, this.#blobUsed);
    this.#used++;
  }

  /**
   * Appends a record of a kind with bytes, which are copied. With several variable fields `bytes` is their
   * concatenation and the words hold the lengths of all but the last. @throws RangeError beyond MAX_EVENT_BYTES.
   */
  appendBytes(kind: number, bytes: Uint8Array, w0 = 0, w1 = 0, w2 = 0, w3 = 0, w4 = 0): void {
    this.appendBytesAt(this.where.domain, this.where.vcpu, kind, bytes, w0, w1, w2, w3, w4);
  }

  appendBytesAt(
    domain: number,
    vcpu: number,
    kind: number,
    bytes: Uint8Array,
    w0 = 0,
    w1 = 0,
    w2 = 0,
    w3 = 0,
    w4 = 0,
  ): void {
    if (bytes.length > MAX_EVENT_BYTES) throw new RangeError(`an event of ${bytes.length} bytes`);
    if (this.#used >= this.#limit || this.#blobUsed + bytes.length > this.#blobs.length) this.#makeRoom(bytes.length);
    this.#blobs.set(bytes, this.#blobUsed);
    const offset = this.#blobBase + this.#blobUsed;
    this.appendAt(domain, vcpu, kind, w0, w1, w2, w3, w4, 0, 0, 0, 0, 0, offset, bytes.length);
    this.#blobUsed += bytes.length;
  }

  /** Appends a typed event where the machine is now: `log.emit('operator', { text })`. */
  emit<K extends KindName>(kind: K, fields: EventFields<K>): void {
    this.emitAt(this.where.domain, this.where.vcpu, kind, fields);
  }

  /** Appends a typed event of another domain and vcpu (-1: none). */
  emitAt<K extends KindName>(domain: number, vcpu: number, kind: K, fields: EventFields<K>): void {
    const layout = LAYOUTS.get(kind)!;
    const { words: w, bytes } = encodeFields(layout, fields);
    if (bytes) this.appendBytesAt(domain, vcpu, layout.number, bytes, w[0], w[1], w[2], w[3], w[4]);
    else {
      this.appendAt(
        domain,
        vcpu,
        layout.number,
        w[0],
        w[1],
        w[2],
        w[3],
        w[4],
        w[5],
        w[6],
        w[7],
        w[8],
        w[9],
        w[10],
        w[11],
      );
    }
  }

  /** Adds a sink for everything from the next drain on. */
  addSink(sink: LogSink): void {
    this.#sinks.push(sink);
  }

  removeSink(sink: LogSink): void {
    this.#sinks = this.#sinks.filter((other) => other !== sink);
  }

  /** Drains what is pending. Never changes what is on the log. */
  flush(): void {
    if (this.#used === 0 || this.#limit === 0) return;
    const records = this.#words.subarray(0, this.#used * RECORD_WORDS);
    const blobs = this.#blobs.subarray(0, this.#blobUsed);
    this.#digest?.update(new Uint8Array(records.buffer, 0, this.#used * RECORD_BYTES), blobs);
    const batch: RecordBatch = {
      words: records,
      count: this.#used,
      firstSeq: this.#firstSeq,
      blobs,
      blobBase: this.#blobBase,
    };
    this.#limit = 0;
    try {
      for (const sink of this.#sinks) this.#drainTo(sink, batch);
      if (this.#subscribers.size > 0) this.#publish(batch);
    } finally {
      this.#limit = this.#capacity;
      this.#firstSeq += this.#used;
      this.#blobBase = (this.#blobBase + this.#blobUsed) >>> 0;
      this.#used = 0;
      this.#blobUsed = 0;
    }
  }

  /** SHA-256 over all records and bytes so far, in hexadecimal; the same however the log was cut into batches. */
  digest(): string | undefined {
    this.flush();
    return this.#digest?.value();
  }

  /** For snapshots: the place on the log. Drains what is pending. */
  save(): LogState {
    this.flush();
    const { where, seq } = this;
    const digest = this.#digest?.save();
    return { where: { ...where }, seq, blobBase: this.#blobBase, ...(digest ? { digest } : {}) };
  }
  /** What is pending is dropped: a snapshot's past is on the log already, its future comes again. */
  restore(state: LogState): void {
    Object.assign(this.where, state.where);
    this.#firstSeq = state.seq;
    this.#blobBase = state.blobBase;
    this.#used = 0;
    this.#blobUsed = 0;
    if (state.digest) this.#digest?.restore(state.digest);
  }

  /** The digest covers what follows, and nothing before it: of a session that does not begin at its beginning. */
  restartDigest(): void {
    this.flush();
    this.#digest?.restart();
  }

  /** Events as they happen (a batch behind), decoded only while someone subscribes. Completes never by itself. */
  readonly events$: Observable<MachineEvent> = new Observable((subscriber) => {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  });

  #drainTo(sink: LogSink, batch: RecordBatch): void {
    try {
      sink.batch(batch);
    } catch (error) {
      this.failure ??= error;
      this.removeSink(sink);
    }
  }

  #publish(batch: RecordBatch): void {
    for (let i = 0; i < batch.count && this.#subscribers.size > 0; i++) {
      const base = i * RECORD_WORDS;
      const event = decodeRecord(batch.words, base, batch.firstSeq + i, batch.blobs, blobStart(batch, base));
      // RxJS 7 catches what a subscriber throws and rethrows it later, outside; one that unsubscribes leaves the set.
      for (const subscriber of this.#subscribers) subscriber.next(event);
    }
  }

  #makeRoom(blobBytes: number): void {
    if (this.#limit === 0) throw new Error('an observer of the event log must not append to it');
    this.flush();
    if (blobBytes > this.#blobs.length) this.#blobs = new Uint8Array(MAX_EVENT_BYTES);
  }
}

/** Index in `batch.blobs` of the bytes of the record at `base` (meaningless for kinds without bytes). */
export function blobStart(batch: RecordBatch, base: number): number {
  return batch.words[base + BLOB_LENGTH_WORD] === 0 ? 0 : (batch.words[base + 14] - batch.blobBase) >>> 0;
}
