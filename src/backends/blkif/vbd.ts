import { Backend, type DevicePaths, type DeviceType, XenbusState } from '../backend.ts';
import { BackRing, type RingState } from '../ring.ts';
import type { BackendServices, MappedGrant, Store, Timer } from '../services.ts';
import {
  BLKIF_OP,
  BLKIF_RSP,
  type BlkifLayout,
  type BlkifRequest,
  LAYOUTS,
  MAX_INDIRECT_SEGMENTS,
  parseRequest,
  responseBytes,
  type Segment,
} from './abi.ts';
import { type Disk, SECTOR_BYTES } from './disk.ts';
import { Qcow2Error } from './qcow2.ts';

/** From a request's notification to its response: 100 µs, a fast disk. */
const LATENCY_TICKS = 100_000;
const MAX_RING_PAGE_ORDER = 4;
const MAX_QUEUES = 4;
/** Persistent grants kept a ring, as Linux's back end does (max_persistent_grants). */
const MAX_PERSISTENT = 1056;
/** `info` of blkif.h. */
const VDISK = { CDROM: 1, READONLY: 4 } as const;
const PAGE_BYTES = 4096;
const PAGE_SECTORS = PAGE_BYTES / SECTOR_BYTES;

/** What a disk is to its guest. */
export interface DiskUse {
  readonly cdrom: boolean;
  /** Absent: it may be discarded, unless it is read-only. */
  readonly discard?: boolean;
}

interface Queue {
  readonly ring: BackRing;
  readonly port: number;
  /** Grants that stay mapped, by reference. */
  readonly persistent: Map<number, MappedGrant>;
}

export interface VbdState {
  readonly state: number;
  readonly layout: string;
  readonly keepsGrants: boolean;
  readonly queues: readonly {
    readonly ring: RingState;
    readonly port: number;
    readonly persistent: readonly (readonly [ref: number, handle: number])[];
  }[];
}

/**
 * The back end of a virtual block device. What waits in its rings is done together, a fixed time after the first
 * notification: completion depends on ticks alone.
 */
export class Vbd implements DeviceType {
  readonly backend: Backend;
  readonly disk: Disk;
  readonly #services: BackendServices;
  readonly #domain: number;
  readonly #timer: Timer;
  readonly #cdrom: boolean;
  readonly #discard: boolean;
  #layout: BlkifLayout = LAYOUTS['x86_64-abi']!;
  #layoutName = 'x86_64-abi';
  #keepsGrants = false;
  #queues: Queue[] = [];

  constructor(services: BackendServices, store: Store, paths: DevicePaths, disk: Disk, how: DiskUse) {
    this.#services = services;
    this.#domain = paths.domain;
    this.disk = disk;
    this.#cdrom = how.cdrom;
    this.#discard = how.discard !== false && !disk.readOnly;
    this.#timer = services.timer(paths.back, () => this.#work());
    this.backend = new Backend(store, paths, this);
  }

  offer() {
    return [
      ['feature-max-indirect-segments', String(MAX_INDIRECT_SEGMENTS)],
      ['max-ring-page-order', String(MAX_RING_PAGE_ORDER)],
      ['multi-queue-max-queues', String(MAX_QUEUES)],
      ['feature-persistent', '1'],
      ['feature-flush-cache', '1'],
      ['feature-barrier', '1'],
      ...(!this.#discard
        ? []
        : ([
            ['feature-discard', '1'],
            ['discard-granularity', String(SECTOR_BYTES)],
            ['discard-alignment', '0'],
          ] as const)),
    ] as const;
  }

  ready(): boolean {
    return true;
  }

  connect(read: (name: string) => string | undefined): [string, string][] | undefined {
    const protocol = read('protocol') ?? 'x86_64-abi';
    const layout = LAYOUTS[protocol];
    const count = Number(read('multi-queue-num-queues') ?? 1);
    const order = Number(read('ring-page-order') ?? 0);
    if (!layout || !(count >= 1 && count <= MAX_QUEUES && order >= 0 && order <= MAX_RING_PAGE_ORDER)) return undefined;
    this.#layout = layout;
    this.#layoutName = protocol;
    this.#keepsGrants = read('feature-persistent') === '1';
    const several = read('multi-queue-num-queues') !== undefined && count > 1;
    for (let i = 0; i < count; i++) {
      const at = several ? `queue-${i}/` : '';
      const refs = refNames(at, read, order).map((name) => Number(read(name) ?? -1));
      if (!this.#addQueue(refs, Number(read(`${at}event-channel`) ?? 0))) {
        this.disconnect();
        return undefined;
      }
    }
    const info = (this.disk.readOnly ? VDISK.READONLY : 0) | (this.#cdrom ? VDISK.CDROM : 0);
    return [
      ['sectors', String(this.disk.sectors)],
      ['info', String(info)],
      ['sector-size', String(SECTOR_BYTES)],
      ['physical-sector-size', String(SECTOR_BYTES)],
    ];
  }

  disconnect(): void {
    for (const { ring, port, persistent } of this.#queues) {
      this.#services.closePort(port);
      for (const { handle } of [...ring.pages, ...persistent.values()]) this.#services.unmapGrant(handle);
    }
    this.#queues = [];
  }

  remove(): void {
    this.backend.remove();
    this.#timer.remove();
  }

  save(): VbdState {
    return {
      state: this.backend.save(),
      layout: this.#layoutName,
      keepsGrants: this.#keepsGrants,
      queues: this.#queues.map(({ ring, port, persistent }) => ({
        ring: ring.save(),
        port,
        persistent: [...persistent].map(([ref, { handle }]) => [ref, handle] as const),
      })),
    };
  }

  /** Behind the hypervisor's own state: grants and ports must be there. */
  restore(state: VbdState): void {
    this.backend.restore(state.state);
    this.#layoutName = state.layout;
    this.#layout = LAYOUTS[state.layout]!;
    this.#keepsGrants = state.keepsGrants;
    const mapped = (handle: number) => this.#services.mappedGrant(handle);
    this.#queues = state.queues.map((queue) => {
      const ring = new BackRing(queue.ring.handles.map(mapped), this.#layout.entryBytes);
      ring.restore(queue.ring);
      this.#services.handlePort(queue.port, () => this.#notified());
      return { ring, port: queue.port, persistent: new Map(queue.persistent.map(([ref, h]) => [ref, mapped(h)])) };
    });
  }

  #addQueue(refs: readonly number[], guestPort: number): boolean {
    const pages: MappedGrant[] = [];
    for (const ref of refs) {
      const page = this.#services.mapGrant(this.#domain, ref, false);
      if (page) pages.push(page);
    }
    const port =
      pages.length === refs.length
        ? this.#services.bindPort(this.#domain, guestPort, () => this.#notified())
        : undefined;
    if (port === undefined) {
      for (const { handle } of pages) this.#services.unmapGrant(handle);
      return false;
    }
    this.#queues.push({ ring: new BackRing(pages, this.#layout.entryBytes), port, persistent: new Map() });
    return true;
  }

  #notified(): void {
    if (!this.#timer.armed && this.backend.state === XenbusState.Connected) this.#timer.set(LATENCY_TICKS);
  }

  /**
   * Does all that waits, queue by queue; at most a ring of it at once. No guest can add to its ring meanwhile, but one that
   * names the ring's own page as the place for data could feed it for ever.
   */
  #work(): void {
    for (const queue of this.#queues) {
      const { ring, port } = queue;
      for (let n = 0; n < ring.size && ring.hasRequest; n++) this.#one(queue);
      if (ring.rearm()) this.#timer.set(LATENCY_TICKS);
      if (ring.publish()) this.#services.notify(port);
    }
  }

  #one(queue: Queue): void {
    const raw = queue.ring.take();
    const passing: MappedGrant[] = [];
    const request = parseRequest(raw, this.#layout, (ref) => this.#page(queue, ref, true, passing)?.page);
    const status = this.#tried(() => this.#execute(queue, request, passing));
    for (const { handle } of passing) this.#services.unmapGrant(handle);
    queue.ring.respond(responseBytes(this.#layout, request.id, request.operation, status));
  }

  /** A disk whose image turns out to be damaged gives I/O errors where it is. */
  #tried(execute: () => number): number {
    try {
      return execute();
    } catch (error) {
      if (error instanceof Qcow2Error) return BLKIF_RSP.ERROR;
      throw error;
    }
  }

  #execute(queue: Queue, request: BlkifRequest, passing: MappedGrant[]): number {
    const { operation, sector, segments } = request;
    switch (operation) {
      case BLKIF_OP.FLUSH_DISKCACHE:
        // What was written is written; a flush may carry data all the same.
        return segments?.length ? this.#transfer(queue, request, true, passing) : BLKIF_RSP.OKAY;
      case BLKIF_OP.READ:
        return this.#transfer(queue, request, false, passing);
      case BLKIF_OP.WRITE:
      case BLKIF_OP.WRITE_BARRIER:
        return this.#transfer(queue, request, true, passing);
      case BLKIF_OP.DISCARD:
        if (!this.#discard || !this.disk.has(sector, request.sectors)) return BLKIF_RSP.ERROR;
        // Its first and last block may have to be kept.
        if (!this.disk.hasRoom(2 * PAGE_BYTES)) return BLKIF_RSP.ERROR;
        this.disk.discard(sector, request.sectors);
        return BLKIF_RSP.OKAY;
      default:
        return BLKIF_RSP.EOPNOTSUPP;
    }
  }

  #transfer(queue: Queue, request: BlkifRequest, write: boolean, passing: MappedGrant[]): number {
    const { segments } = request;
    if (!segments || (write && this.disk.readOnly)) return BLKIF_RSP.ERROR;
    if (!segments.every(sensible)) return BLKIF_RSP.ERROR;
    const count = segments.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    if (!this.disk.has(request.sector, count)) return BLKIF_RSP.ERROR;
    if (write && !this.disk.hasRoom(count * SECTOR_BYTES)) return BLKIF_RSP.ERROR;
    let { sector } = request;
    for (const { ref, first, last } of segments) {
      const grant = this.#page(queue, ref, write, passing);
      if (!grant) return BLKIF_RSP.ERROR;
      const bytes = grant.page.subarray(first * SECTOR_BYTES, (last + 1) * SECTOR_BYTES);
      if (write) this.disk.write(sector, bytes);
      else {
        this.disk.read(sector, bytes);
        grant.written();
      }
      sector += last - first + 1;
    }
    return BLKIF_RSP.OKAY;
  }

  /** A granted page: one that is kept, or one that is mapped for this request only. */
  #page(queue: Queue, ref: number, readonly: boolean, passing: MappedGrant[]): MappedGrant | undefined {
    const kept = queue.persistent.get(ref);
    if (kept) return kept;
    const keep = this.#keepsGrants && queue.persistent.size < MAX_PERSISTENT;
    // A grant that is kept serves reads and writes alike; front ends that keep them grant both.
    const grant = this.#services.mapGrant(this.#domain, ref, readonly && !keep);
    if (!grant) return undefined;
    if (keep) queue.persistent.set(ref, grant);
    else passing.push(grant);
    return grant;
  }
}

function sensible({ first, last }: Segment): boolean {
  return first <= last && last < PAGE_SECTORS;
}

/** One page is `ring-ref`; several are `ring-ref0`, `ring-ref1` … */
function refNames(at: string, read: (name: string) => string | undefined, order: number): string[] {
  if (order === 0 && read('ring-page-order') === undefined) return [`${at}ring-ref`];
  if (order === 0 && read(`${at}ring-ref`) !== undefined) return [`${at}ring-ref`];
  return Array.from({ length: 2 ** order }, (_, i) => `${at}ring-ref${i}`);
}
