/** What a back end, as a service of Domain 0, asks of the rest: store, grants, event channels, time. */

/** A page that a domain granted to Domain 0, mapped until `unmapGrant`. */
export interface MappedGrant {
  readonly handle: number;
  readonly domain: number;
  readonly ref: number;
  /** The whole page. After writing to it, call `written`. */
  readonly page: Uint8Array;
  written(): void;
}

/** Xenstore with Domain 0's rights; paths are absolute. */
export interface Store {
  read(path: string): string | undefined;
  write(path: string, value: string): void;
  /** Calls back once at the start and at each change, never from within a request. @returns takes the watch away */
  watch(path: string, callback: (path: string) => void): () => void;
}

/** A timer of the virtual clock. */
export interface Timer {
  readonly armed: boolean;
  /** Fires `ticks` from now. */
  set(ticks: number): void;
  /** Cancels it for good. */
  remove(): void;
}

export interface BackendServices {
  /** GNTTABOP_map_grant_ref. @returns undefined if the domain granted no such access */
  mapGrant(domain: number, ref: number, readonly: boolean): MappedGrant | undefined;
  /** A mapping that is there already, by its handle. @throws Error if there is none */
  mappedGrant(handle: number): MappedGrant;
  unmapGrant(handle: number): void;
  /** GNTTABOP_copy out of a granted page. @returns undefined if the domain granted no such access */
  copyFromGrant(domain: number, ref: number, offset: number, length: number): Uint8Array | undefined;
  /** GNTTABOP_copy into a granted page. @returns false if the domain granted no such access */
  copyToGrant(domain: number, ref: number, offset: number, bytes: Uint8Array): boolean;
  /** EVTCHNOP_bind_interdomain. @returns the port in Domain 0, or undefined if the domain offers no such port */
  bindPort(domain: number, port: number, handler: () => void): number | undefined;
  /** The handler of a port that is bound already: after a snapshot was put back. */
  handlePort(port: number, handler: () => void): void;
  notify(port: number): void;
  closePort(port: number): void;
  /** `name` is one of its own in the machine. */
  timer(name: string, fire: () => void): Timer;
}
