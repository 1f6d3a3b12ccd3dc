import type { Store } from './services.ts';

/** XenbusState of xen/include/public/io/xenbus.h. */
export const XenbusState = {
  Unknown: 0,
  Initialising: 1,
  InitWait: 2,
  Initialised: 3,
  Connected: 4,
  Closing: 5,
  Closed: 6,
} as const;

/** One device of one domain: its front end's and back end's directories in the store. */
export interface DevicePaths {
  readonly domain: number;
  readonly front: string;
  readonly back: string;
}

/** What a kind of device does when the front end's state asks for it. */
export interface DeviceType {
  /** Nodes that the back end offers before the front end begins, without leading path. */
  offer(): readonly (readonly [name: string, value: string])[];
  /** Whether the front end in this state has said all that `connect` needs. */
  ready(frontState: number): boolean;
  /** Maps rings and binds channels as the front end said. @returns nodes to write, or undefined if it asked for nonsense */
  connect(read: (name: string) => string | undefined): readonly (readonly [string, string])[] | undefined;
  disconnect(): void;
}

/**
 * The back end's half of the handshake over xenstore: waits, connects when the front end is ready, disconnects when it
 * goes, and starts anew when another kernel takes over the device.
 *
 *     InitWait ──front ready──► Connected ──front Closing──► Closing ──front Closed──► Closed ──front Initialising──► InitWait
 */
export class Backend {
  readonly paths: DevicePaths;
  readonly #store: Store;
  readonly #type: DeviceType;
  readonly #unwatch: () => void;
  #state: number = XenbusState.Initialising;
  #gone = false;

  constructor(store: Store, paths: DevicePaths, type: DeviceType) {
    this.#store = store;
    this.paths = paths;
    this.#type = type;
    for (const [name, value] of type.offer()) store.write(`${paths.back}/${name}`, value);
    this.#set(XenbusState.InitWait);
    this.#unwatch = store.watch(`${paths.front}/state`, () => this.#changed());
  }

  get state(): number {
    return this.#state;
  }

  /** The domain is gone. The store's nodes are the caller's to remove. */
  remove(): void {
    this.#gone = true;
    this.#unwatch();
    if (this.#state === XenbusState.Connected) this.#type.disconnect();
  }

  /** State alone; the type puts its own back. */
  save(): number {
    return this.#state;
  }
  restore(state: number): void {
    this.#state = state;
  }

  #changed(): void {
    if (this.#gone) return;
    const text = this.#store.read(`${this.paths.front}/state`);
    const front = text === undefined ? XenbusState.Unknown : Number(text);
    switch (front) {
      case XenbusState.Initialising:
        if (this.#state === XenbusState.Closed) this.#set(XenbusState.InitWait);
        return;
      case XenbusState.Initialised:
      case XenbusState.Connected:
        if (this.#state !== XenbusState.Connected && this.#type.ready(front)) this.#connect();
        return;
      case XenbusState.Closing:
        this.#close(XenbusState.Closing);
        return;
      case XenbusState.Closed:
        this.#close(XenbusState.Closed);
    }
  }

  #connect(): void {
    const nodes = this.#type.connect((name) => this.#store.read(`${this.paths.front}/${name}`));
    if (nodes === undefined) {
      this.#store.write(`${this.paths.back}/error`, '22 the front end offers no ring that can be mapped');
      this.#close(XenbusState.Closing);
      return;
    }
    for (const [name, value] of nodes) this.#store.write(`${this.paths.back}/${name}`, value);
    this.#set(XenbusState.Connected);
  }

  #close(state: number): void {
    if (this.#state === XenbusState.Connected) this.#type.disconnect();
    if (this.#state !== state) this.#set(state);
  }

  #set(state: number): void {
    this.#state = state;
    this.#store.write(`${this.paths.back}/state`, String(state));
  }
}
