/** A running hash, injected because cryptography is the host's. `node:crypto`'s Hash fits. */
export interface Hash {
  update(bytes: Uint8Array): unknown;
  copy(): Hash;
  digest(encoding: 'hex'): string;
}
export type CreateHash = () => Hash;

/**
 * Digest of a session: SHA-256 over all records, chained with SHA-256 over all their bytes,
 *
 *     digest = SHA-256( hex(SHA-256(records)) ‖ hex(SHA-256(bytes)) )
 *
 * two streams, so that both can be fed a batch at a time without a trace of where batches ended.
 */
export class LogDigest {
  readonly #create: CreateHash;
  #records: Hash;
  #bytes: Hash;

  constructor(create: CreateHash) {
    this.#create = create;
    this.#records = create();
    this.#bytes = create();
  }

  update(records: Uint8Array, bytes: Uint8Array): void {
    this.#records.update(records);
    if (bytes.length > 0) this.#bytes.update(bytes);
  }

  /** From here on, of what follows only. */
  restart(): void {
    this.#records = this.#create();
    this.#bytes = this.#create();
  }

  /** For snapshots: the two streams as they are now. */
  save(): { records: Hash; bytes: Hash } {
    return { records: this.#records.copy(), bytes: this.#bytes.copy() };
  }
  restore(state: { records: Hash; bytes: Hash }): void {
    this.#records = state.records.copy();
    this.#bytes = state.bytes.copy();
  }

  /** The digest so far, in hexadecimal. */
  value(): string {
    const both = this.#create();
    both.update(new TextEncoder().encode(this.#records.copy().digest('hex') + this.#bytes.copy().digest('hex')));
    return both.digest('hex');
  }
}
