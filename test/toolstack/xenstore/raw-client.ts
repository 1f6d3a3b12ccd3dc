import { Xenstored } from '../../../src/toolstack/xenstore/xenstored.ts';
import { bytesOf, latin1, type Message, Xs } from '../../../src/toolstack/xenstore/wire.ts';

const BY_NAME: Readonly<Record<string, number>> = Xs;

/** A client that speaks in strings: `ask('WRITE', '/a|v')` with `|` for the zero byte. */
export class RawClient {
  readonly connection;
  readonly events: string[] = [];
  readonly #daemon: Xenstored;
  #replies: Message[] = [];

  constructor(daemon: Xenstored, domain: number) {
    this.#daemon = daemon;
    this.connection = daemon.connect(domain, (m) => {
      if (m.type === Xs.WATCH_EVENT) this.events.push(latin1(m.payload).replaceAll('\0', '|'));
      else this.#replies.push(m);
    });
  }

  /** @returns the reply's payload, or `!ERRNO` */
  ask(op: string, payload: string, transaction = 0): string {
    this.#replies = [];
    const type = /^\d+$/.test(op) ? Number(op) : BY_NAME[op]!;
    this.#daemon.process(this.connection, {
      type,
      requestId: 7,
      transaction,
      payload: bytesOf(payload.replaceAll('|', '\0')),
    });
    if (this.#replies.length !== 1) throw new Error(`${this.#replies.length} replies to ${op}`);
    const [reply] = this.#replies;
    if (reply!.requestId !== 7 || reply!.transaction !== transaction)
      throw new Error('reply does not echo its request');
    const text = latin1(reply!.payload).replaceAll('\0', '|');
    if (reply!.type === Xs.ERROR) return `!${text.slice(0, -1)}`;
    if (reply!.type !== type) throw new Error(`reply of type ${reply!.type} to ${type}`);
    return text;
  }

  /** Events since the last call. */
  take(): string[] {
    return this.events.splice(0);
  }
}

/** Domain 0 and guests 1 and 2 with homes as xl makes them: readable by the guest, `data` its own. */
export function world() {
  const daemon = new Xenstored();
  const zero = new RawClient(daemon, 0);
  const one = new RawClient(daemon, 1);
  const two = new RawClient(daemon, 2);
  for (const id of [1, 2]) {
    zero.ask('MKDIR', `/local/domain/${id}|`);
    zero.ask('SET_PERMS', `/local/domain/${id}|n0|r${id}|`);
    zero.ask('MKDIR', `/local/domain/${id}/data|`);
    zero.ask('SET_PERMS', `/local/domain/${id}/data|n${id}|`);
  }
  return { daemon, zero, one, two };
}
