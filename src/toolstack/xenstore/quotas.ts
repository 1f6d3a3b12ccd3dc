/** xenstored's default limits on unprivileged domains (tools/xenstore/xenstored_core.c of 4.17). */
export interface Quotas {
  /** Nodes a domain may own. */
  readonly nodes: number;
  readonly watches: number;
  /** Bytes of a node: value, child names, permissions and 24 of header. */
  readonly nodeBytes: number;
  readonly transactions: number;
  readonly permissions: number;
  /** Nodes touched by one transaction. */
  readonly transactionNodes: number;
  /** Unread replies and events of a domain, bytes; further events are dropped. */
  readonly unreadBytes: number;
}

export const DEFAULT_QUOTAS: Quotas = {
  nodes: 1000,
  watches: 128,
  nodeBytes: 2048,
  transactions: 10,
  permissions: 5,
  transactionNodes: 1024,
  unreadBytes: 2560 << 10,
};
