import { MachineMemory } from '../../src/memory/frames.ts';
import { GuestPhysical, P2m, P2mType } from '../../src/memory/p2m.ts';
import type { BuildTarget, MemoryMapEntry, PvhStart } from '../../src/toolstack/hypervisor-interface.ts';

/** A domain that only has memory, and notes what the builder asks. */
export class FakeTarget implements BuildTarget {
  readonly id = 1;
  readonly machine: MachineMemory;
  readonly memory: GuestPhysical;
  readonly params = new Map<number, bigint>();
  readonly grants: [ref: number, grantee: number, gfn: number][] = [];
  map: readonly MemoryMapEntry[] = [];
  start: PvhStart | undefined;

  constructor(mib = 16) {
    this.machine = new MachineMemory(new ArrayBuffer((mib + 1) * 2 ** 20), 0, (mib + 1) * 256);
    this.memory = new GuestPhysical(this.machine, new P2m());
  }
  populate(gfn: number, count: number): void {
    for (let i = 0; i < count; i++) this.memory.p2m.set(gfn + i, this.machine.allocate(), P2mType.RAM);
  }
  setParam(index: number, value: bigint): void {
    this.params.set(index, value);
  }
  setMemoryMap(entries: readonly MemoryMapEntry[]): void {
    this.map = entries;
  }
  seedGrant(ref: number, grantee: number, gfn: number): void {
    this.grants.push([ref, grantee, gfn]);
  }
  startPvh(start: PvhStart): void {
    this.start = start;
  }
}
