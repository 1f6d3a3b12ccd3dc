import type { Caller } from './permissions.ts';
import { Transaction, type TransactionState } from './transaction.ts';
import type { Store } from './store.ts';
import { XsError } from './errors.ts';
import { domainPath } from './paths.ts';
import type { Message } from './wire.ts';

export interface Watch {
  /** Absolute path or special event. */
  readonly path: string;
  readonly token: string;
  /** Given relative to the domain's own path: events are too. */
  readonly relative: boolean;
}

export interface ConnectionState {
  readonly domain: number;
  readonly target: number | null;
  readonly watches: readonly Watch[];
  readonly transactions: readonly TransactionState[];
  readonly nextTransaction: number;
}

/** A client of the store: a domain behind its ring, or a service of Domain 0. */
export class Connection implements Caller {
  readonly domain: number;
  target: number | undefined;
  watches: Watch[] = [];
  readonly transactions = new Map<number, Transaction>();
  #nextTransaction = 1;
  /** Takes replies and watch events in their order. */
  readonly send: (message: Message) => void;

  constructor(domain: number, send: (message: Message) => void) {
    this.domain = domain;
    this.send = send;
  }

  /** @throws XsError ENOSPC beyond `most` */
  startTransaction(store: Store, most: number, maxNodes: number): Transaction {
    if (this.transactions.size > most) throw new XsError('ENOSPC');
    store.nextGeneration();
    let id: number;
    do {
      id = this.#nextTransaction;
      this.#nextTransaction = (this.#nextTransaction + 1) >>> 0;
    } while (id === 0 || this.transactions.has(id));
    const transaction = new Transaction(id, store, maxNodes);
    this.transactions.set(id, transaction);
    return transaction;
  }

  /** The path of an event as this watch's owner wrote it. */
  eventPath(watch: Watch, path: string): string {
    return watch.relative ? path.slice(domainPath(this.domain).length + 1) : path;
  }

  reset(): void {
    this.watches = [];
    this.transactions.clear();
  }

  save(): ConnectionState {
    return {
      domain: this.domain,
      target: this.target ?? null,
      watches: [...this.watches],
      transactions: [...this.transactions.values()].map((t) => t.save()),
      nextTransaction: this.#nextTransaction,
    };
  }

  restore(state: ConnectionState, store: Store, maxNodes: number): void {
    this.target = state.target ?? undefined;
    this.watches = [...state.watches];
    this.transactions.clear();
    for (const saved of state.transactions) {
      const transaction = new Transaction(saved.id, store, maxNodes);
      transaction.restore(saved);
      this.transactions.set(saved.id, transaction);
    }
    this.#nextTransaction = state.nextTransaction;
  }
}
