import { addTicks } from '../base/ticks.ts';
import { KIND } from '../log/kinds.ts';
import { PAGE_SIZE } from '../memory/frames.ts';
import { Errno } from './abi/errno.ts';
import { GNTCOPY, GNTMAP, GNTST } from './abi/grant-table.ts';
import type { Xen } from './hypervisor.ts';

const DOM0 = 0;
const NO_VCPU = -1;
/** A mapping of Domain 0's services is at no guest frame. */
const NO_GFN = -1;

/** Somebody's granted page in the hands of a service. */
export interface ServiceGrant {
  readonly handle: number;
  readonly domain: number;
  readonly ref: number;
  readonly page: Uint8Array;
  written(): void;
}

/** What back ends do with hypercalls and kernel services where Domain 0 is a guest: grants, ports, timers. */
export class Dom0Services {
  readonly #xen: Xen;

  constructor(xen: Xen) {
    this.#xen = xen;
  }

  /** GNTTABOP_map_grant_ref by Domain 0. @returns undefined if the domain granted no such access */
  mapGrant(domain: number, ref: number, readonly: boolean): ServiceGrant | undefined {
    const { grants } = this.#xen.domains.dom0;
    const granter = this.#xen.find(domain)?.grants;
    const mfn = granter ? granter.pin(ref, DOM0, readonly) : GNTST.bad_domain;
    const handle = mfn < 0 ? 0 : grants.track({ granter: domain, ref, readonly, gfn: NO_GFN, mfn });
    if (handle < 0) granter!.unpin(ref, readonly);
    const status = mfn < 0 ? mfn : handle < 0 ? GNTST.no_device_space : GNTST.okay;
    const flags = GNTMAP.host_map | (readonly ? GNTMAP.readonly : 0);
    const [h, m] = status === GNTST.okay ? [handle, mfn] : [0, 0];
    this.#xen.log.appendAt(DOM0, NO_VCPU, KIND['grant-map'], domain, ref, flags, h, m, 0, status);
    return status === GNTST.okay ? this.mappedGrant(handle) : undefined;
  }

  /** @throws RangeError if nothing is mapped under this handle */
  mappedGrant(handle: number): ServiceGrant {
    const { engine, domains } = this.#xen;
    const mapping = domains.dom0.grants.tracked(handle);
    if (!mapping) throw new RangeError(`Domain 0 has no grant mapping ${handle}`);
    const { granter: domain, ref, mfn } = mapping;
    return { handle, domain, ref, page: engine.frames.frame(mfn), written: () => engine.frameWritten(mfn) };
  }

  unmapGrant(handle: number): void {
    const { dom0 } = this.#xen.domains;
    const mapping = dom0.grants.tracked(handle);
    if (!mapping) throw new RangeError(`Domain 0 has no grant mapping ${handle}`);
    this.#xen.dropMapping(dom0, handle, mapping);
    const { granter, ref } = mapping;
    this.#xen.log.appendAt(DOM0, NO_VCPU, KIND['grant-unmap'], granter, ref, handle, GNTST.okay);
  }

  /** GNTTABOP_copy out of a granted page. @returns undefined if the domain granted no such access */
  copyFromGrant(domain: number, ref: number, offset: number, length: number): Uint8Array | undefined {
    const mfn = this.#copyEnd(domain, ref, offset, length, true);
    return mfn < 0 ? undefined : this.#xen.engine.frames.frame(mfn).slice(offset, offset + length);
  }

  /** GNTTABOP_copy into a granted page. @returns false if the domain granted no such access */
  copyToGrant(domain: number, ref: number, offset: number, bytes: Uint8Array): boolean {
    const mfn = this.#copyEnd(domain, ref, offset, bytes.length, false);
    if (mfn < 0) return false;
    this.#xen.engine.frames.frame(mfn).set(bytes, offset);
    this.#xen.engine.frameWritten(mfn);
    return true;
  }

  /** EVTCHNOP_bind_interdomain. @returns the port in Domain 0, or undefined if the domain offers no such port */
  bindPort(domain: number, port: number, handler: () => void): number | undefined {
    const { dom0, services } = this.#xen.domains;
    const remote = this.#xen.find(domain);
    if (!remote) return undefined;
    let local = 0;
    try {
      local = dom0.events.bindInterdomain(remote, port);
    } catch (error) {
      if (error instanceof Errno) return undefined;
      throw error;
    }
    services.bind(local, handler);
    return local;
  }

  handlePort(port: number, handler: () => void): void {
    this.#xen.domains.services.bind(port, handler);
  }

  notify(port: number): void {
    this.#xen.domains.dom0.events.send(port);
  }

  closePort(port: number): void {
    const { dom0, services } = this.#xen.domains;
    services.unbind(port);
    if (dom0.events.get(port).kind !== 'free') dom0.events.close(port);
  }

  /** `set` takes ticks from now. */
  timer(name: string, fire: () => void): { readonly armed: boolean; set(ticks: number): void; remove(): void } {
    const { alarms } = this.#xen.machine;
    const alarm = alarms.create(name, fire);
    return {
      get armed() {
        return alarm.armed;
      },
      set: (ticks) => alarm.set(addTicks(this.#xen.now(), ticks)),
      remove: () => alarms.remove(alarm),
    };
  }

  #copyEnd(domain: number, ref: number, offset: number, length: number, out: boolean): number {
    const status = offset + length > PAGE_SIZE ? GNTST.bad_copy_arg : this.#reachable(domain, ref, offset, length, out);
    const [guest, own] = [
      { domain, name: ref, offset },
      { domain: DOM0, name: 0, offset: 0 },
    ];
    const [source, dest] = out ? [guest, own] : [own, guest];
    this.#xen.log.emitAt(DOM0, NO_VCPU, 'grant-copy', {
      sourceDomain: source.domain,
      source: source.name,
      sourceOffset: source.offset,
      destDomain: dest.domain,
      dest: dest.name,
      destOffset: dest.offset,
      length,
      flags: out ? GNTCOPY.source_gref : GNTCOPY.dest_gref,
      status: Math.min(status, 0),
    });
    return status;
  }

  /** The frame that a copy may touch there, or a negative GNTST. */
  #reachable(domain: number, ref: number, offset: number, length: number, out: boolean): number {
    const grants = this.#xen.find(domain)?.grants;
    const window = grants?.window(ref, DOM0, out, (id) => this.#xen.find(id)?.grants) ?? GNTST.bad_domain;
    if (typeof window === 'number') return window;
    return offset >= window.offset && offset + length <= window.offset + window.length
      ? window.mfn
      : GNTST.general_error;
  }
}
