/** What the remote protocol needs of whatever it debugs. No I/O, no protocol. */

/**
 * A vcpu as gdb's thread. Its id holds two numbers, as gdb has them:
 *
 *     15         8 7          0
 *     ┌───────────┬───────────┐
 *     │ process   │ thread    │   process: the domain's id; thread: the vcpu's number + 1
 *     └───────────┴───────────┘   (both above 0; domain ids go on above bit 15)
 */
export interface DebugThread {
  readonly id: number;
  /** What `info threads` puts into quotes. */
  readonly name: string;
  /** What it puts into brackets. */
  readonly text: string;
  /** The processor that it runs on. */
  readonly core?: number;
}

export function threadId(process: number, thread: number): number {
  return process * 256 + thread;
}
export function processOf(id: number): number {
  return Math.floor(id / 256);
}
export function threadOf(id: number): number {
  return id & 255;
}

/** `break` and `hbreak` are the same but for what gdb is told. `access` stops at reads and writes. */
export type PointKind = 'break' | 'hbreak' | 'write' | 'read' | 'access';

/** A breakpoint or watchpoint as gdb asks for it. */
export interface PointRequest {
  readonly kind: PointKind;
  readonly address: bigint;
  readonly length: number;
  /** By whose page tables a watched address is meant. */
  readonly thread: number;
  /** Breakpoints: in every process, for clients that know of one only. */
  readonly everywhere: boolean;
  /** Bytecode; the point counts if one of them is not zero. None: always. */
  readonly conditions: readonly Uint8Array[];
}

/** Why the target stands where it does. */
export interface Stopped {
  readonly thread: number;
  /** The three of watchpoints are for `write`, `read` and `access` points. `exited`: nothing is left to debug. */
  readonly reason:
    | 'step'
    | 'break'
    | 'hbreak'
    | 'watch'
    | 'rwatch'
    | 'awatch'
    | 'interrupt'
    | 'begin'
    | 'end'
    | 'exited';
  /** Of a watchpoint: the address that was set. */
  readonly address?: bigint;
}

export type Motion =
  | { readonly kind: 'continue'; readonly reverse: boolean }
  | { readonly kind: 'step'; readonly reverse: boolean; readonly thread: number | undefined }
  /** Forward steps until the thread is outside [from, to). */
  | { readonly kind: 'range'; readonly thread: number | undefined; readonly from: bigint; readonly to: bigint }
  /** To a place in time, in words; '' for the beginning. @throws RangeError if it is none */
  | { readonly kind: 'seek'; readonly place: string }
  | { readonly kind: 'none' };

/** Work that yields now and then, or with what it waits for, and may be left there. */
export type Work<T> = Generator<Promise<void> | void, T>;

export interface DebugTarget {
  /** Registers as gdb's target description: 32 or 64 bits, as the thread's guest is now. */
  targetXml(thread: number): string;
  /** It can go backwards. */
  readonly reverses: boolean;
  /** Those that exist now; empty if no domain does. */
  threads(): readonly DebugThread[];
  /** The thread that stopped last. */
  readonly current: number;
  /** All registers one after the other, or undefined if there is no such thread. */
  readRegisters(thread: number): Uint8Array | undefined;
  readRegister(thread: number, number: number): Uint8Array | undefined;
  /** @returns why not, if it cannot be written */
  writeRegister(thread: number, number: number, bytes: Uint8Array): string | undefined;
  /** All registers at once; those that cannot be written must not change. */
  writeRegisters(thread: number, bytes: Uint8Array): string | undefined;
  /** By the thread's page tables. @returns what could be read from the start on; undefined for nothing */
  readMemory(thread: number, address: bigint, length: number): Uint8Array | undefined;
  /** @returns why not, if it cannot be written */
  writeMemory(thread: number, address: bigint, bytes: Uint8Array): string | undefined;
  /** @returns why not, if such a point cannot be had */
  insertPoint(point: PointRequest): string | undefined;
  removePoint(kind: PointKind, address: bigint, length: number, thread: number): void;
  /** Moves, and may be broken off (Ctrl-C): `interrupted` then says where it stands. */
  move(motion: Motion): Work<Stopped>;
  interrupted(): Stopped;
  /** gdb came; where it finds things. */
  joined(): Stopped;
  /** gdb said goodbye: its points go. */
  left(): void;
  /** `monitor TEXT`. @returns what gdb prints */
  monitor(text: string): Work<string>;
  /** An ELF file with the symbols of a process, if there are any. */
  symbolFile(process: number): Uint8Array | undefined;
}
