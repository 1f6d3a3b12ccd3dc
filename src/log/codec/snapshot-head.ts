/**
 * What stands before a part of a snapshot, never compressed:
 *
 *     0      8     16        20     24      28   32
 *     ┌──────┬─────┬─────────┬──────┬───────┬────┬── ─ ─ ──┐
 *     │ tick │ seq │ index   │ part │ parts │  0 │ body    │     index: of the snapshot in the file
 *     └──────┴─────┴─────────┴──────┴───────┴────┴── ─ ─ ──┘     part: 0, 1, … parts - 1
 */
import { toU53 } from '../record.ts';
import type { FrameHeader } from './frame.ts';

export const SNAPSHOT_HEAD_BYTES = 32;
const MAX_PARTS = 4096;

export interface SnapshotHead {
  readonly tick: number;
  /** Number of events before it. */
  readonly seq: number;
  readonly index: number;
  readonly part: number;
  readonly parts: number;
}

/** A snapshot that lies whole in a recording. */
export interface SnapshotEntry {
  readonly tick: number;
  readonly seq: number;
  /** Its parts. */
  readonly frames: readonly FrameHeader[];
}

export function encodeSnapshotHead({ tick, seq, index, part, parts }: SnapshotHead): Uint8Array {
  const head = new Uint8Array(SNAPSHOT_HEAD_BYTES);
  const view = new DataView(head.buffer);
  for (const [i, value] of [tick, seq].entries()) {
    view.setUint32(8 * i, value % 0x1_0000_0000, true);
    view.setUint32(8 * i + 4, value / 0x1_0000_0000, true);
  }
  for (const [i, value] of [index, part, parts].entries()) view.setUint32(16 + 4 * i, value, true);
  return head;
}

function decodeSnapshotHead(payload: Uint8Array): SnapshotHead {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const word = (at: number) => view.getUint32(at, true);
  const u53 = (at: number) => toU53(word(at), word(at + 4));
  return { tick: u53(0), seq: u53(8), index: word(16), part: word(20), parts: word(24) };
}

/** Collects snapshots from their frames, in the order of the file. */
export class SnapshotTable {
  problem: { offset: number; problem: string } | undefined;
  /** A frame of a snapshot was seen. */
  any = false;
  readonly #list: { tick: number; seq: number; parts: number; frames: FrameHeader[] }[] = [];

  add(frame: FrameHeader, payload: Uint8Array): void {
    this.any = true;
    const head = decodeSnapshotHead(payload);
    const { tick, seq, index, part, parts } = head;
    const last = this.#list.at(-1);
    if (index === this.#list.length && part === 0 && parts >= 1 && parts <= MAX_PARTS && tick > (last?.tick ?? -1)) {
      if (last === undefined || last.frames.length === last.parts) {
        this.#list.push({ tick, seq, parts, frames: [frame] });
        return;
      }
    } else if (last && index === this.#list.length - 1 && part === last.frames.length && part < last.parts) {
      if (tick === last.tick && seq === last.seq && parts === last.parts) {
        last.frames.push(frame);
        return;
      }
    }
    this.damaged(frame.offset, 'a part of a snapshot does not follow the one before it');
  }

  damaged(offset: number, problem: string): void {
    this.any = true;
    this.problem ??= { offset, problem };
  }

  /** Those that can be used: each needs all before it. */
  whole(): SnapshotEntry[] {
    const limit = this.problem?.offset ?? Number.POSITIVE_INFINITY;
    const broken = this.#list.findIndex(
      ({ parts, frames }) => frames.length < parts || frames.some(({ offset }) => offset > limit),
    );
    return broken < 0 ? this.#list : this.#list.slice(0, broken);
  }
}
