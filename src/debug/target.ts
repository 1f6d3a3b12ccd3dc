/** What the remote protocol needs of whatever it debugs. No I/O, no protocol. */

/** A vcpu as gdb's thread; `id` is positive. */
export interface DebugThread {
  readonly id: number;
  /** Shown by `info threads`. */
  readonly text: string;
}

/** Hardware and software breakpoints are the same here. `access` stops at reads and writes. */
export type PointKind = 'break' | 'write' | 'read' | 'access';

/** Why the target stands where it does. */
export interface Stopped {
  readonly thread: number;
  /** The three of watchpoints are for `write`, `read` and `access` points. */
  readonly reason: 'step' | 'break' | 'watch' | 'rwatch' | 'awatch' | 'interrupt' | 'begin' | 'end';
  /** Of a watchpoint: the address that was set. */
  readonly address?: bigint;
}

export type Motion =
  | { readonly kind: 'step' | 'continue'; readonly reverse: boolean; readonly thread: number | undefined }
  | { readonly kind: 'none' };

export interface DebugTarget {
  readonly targetXml: string;
  /** Those that exist now; empty if no domain does. */
  threads(): readonly DebugThread[];
  /** The thread that stopped last. */
  readonly current: number;
  /** All registers one after the other, or undefined if there is no such thread. */
  readRegisters(thread: number): Uint8Array | undefined;
  readRegister(thread: number, number: number): Uint8Array | undefined;
  /** @returns false if it cannot be written */
  writeRegister(thread: number, number: number, bytes: Uint8Array): boolean;
  /** By the thread's page tables. @returns what could be read from the start on; undefined for nothing */
  readMemory(thread: number, address: bigint, length: number): Uint8Array | undefined;
  writeMemory(thread: number, address: bigint, bytes: Uint8Array): boolean;
  /** @returns false if such a point cannot be had */
  insertPoint(kind: PointKind, address: bigint, length: number): boolean;
  removePoint(kind: PointKind, address: bigint, length: number): void;
  /** Moves; yields now and then, and may be left there (Ctrl-C: `interrupted` then says where it stands). */
  move(motion: Motion): Generator<void, Stopped>;
  interrupted(): Stopped;
  /** `monitor TEXT`. @returns what gdb prints */
  monitor(text: string): string;
}
