import type { Machine } from '../machine/machine.ts';
import { TSC_OFFSET } from '../cpu/layout.ts';
import type { Width } from './abi/struct.ts';
import { RUNSTATE_UPDATE, runstateInfo } from './abi/vcpu.ts';
import { PVCLOCK_TSC_STABLE_BIT, VMASST, vcpuTimeInfo } from './abi/xen.ts';
import type { Domain } from './domain.ts';
import type { GuestAccess } from './guest-access.ts';
import type { Vcpu } from './vcpu.ts';

/**
 * Scale of a TSC that counts nanoseconds (1 GHz), as Xen's set_time_scale computes it:
 * ns = ((tsc_delta << 1) * 0x80000000) >> 32.
 */
export const TSC_TO_NS = { mul: 0x80000000, shift: 1 } as const;
export const TSC_KHZ = 1_000_000;

/** System time, wall clock and runstate as guests read them from shared memory. */
export class GuestTime {
  readonly #machine: Machine;
  readonly #guest: GuestAccess;
  /** UTC at system time 0. Set by the `wallclock` input. */
  #wallclock = { seconds: 0, nanoseconds: 0 };

  constructor(machine: Machine, guest: GuestAccess) {
    this.#machine = machine;
    this.#guest = guest;
  }

  /** UTC now was read outside: all domains' shared pages get the UTC of system time 0. */
  setWallclock(seconds: number, nanoseconds: number, domains: Iterable<Domain>): void {
    const now = this.#machine.now();
    let s = seconds - Math.floor(now / 1e9);
    let ns = nanoseconds - (now % 1e9);
    if (ns < 0) {
      ns += 1e9;
      s--;
    }
    this.#wallclock = { seconds: s, nanoseconds: ns };
    for (const domain of domains) this.publishWallclock(domain);
  }

  /** Seconds and nanoseconds of UTC now. */
  utc(): { seconds: number; nanoseconds: number } {
    const now = this.#machine.now();
    const ns = this.#wallclock.nanoseconds + (now % 1e9);
    return { seconds: this.#wallclock.seconds + Math.floor(now / 1e9) + Math.floor(ns / 1e9), nanoseconds: ns % 1e9 };
  }

  /** Writes wc_* of the shared page: version odd while they change (xen.h, struct shared_info). */
  publishWallclock(domain: Domain): void {
    const page = domain.shared;
    if (!page) return;
    const o = domain.offsets;
    const seconds = this.#wallclock.seconds + domain.timeOffset;
    const version = page.u32(o.wcVersion);
    page.setU32(o.wcVersion, (version + 1) | 1);
    page.setU32(o.wcSec, seconds);
    page.setU32(o.wcNsec, this.#wallclock.nanoseconds);
    page.setU32(o.wcSecHi, Math.floor(seconds / 0x1_0000_0000));
    page.setU32(o.wcVersion, ((version + 1) | 1) + 1);
  }

  /**
   * The current vcpu's `vcpu_time_info`. One clock drives everything, so the pair (TSC, system time) stays valid
   * until the guest's TSC offset changes; only then, or when `force`d, is it written again.
   */
  publishTime(vcpu: Vcpu, force = false): void {
    const offset = this.#machine.engine.state.i64[TSC_OFFSET >> 3];
    if (!force && vcpu.timeOffset === offset) return;
    vcpu.timeOffset = offset;
    const now = BigInt(this.#machine.now());
    vcpu.timeVersion = (vcpu.timeVersion + 2) >>> 0;
    const value = {
      version: vcpu.timeVersion,
      pad0: 0,
      tsc_timestamp: now + offset,
      system_time: now,
      tsc_to_system_mul: TSC_TO_NS.mul,
      tsc_shift: TSC_TO_NS.shift,
      flags: PVCLOCK_TSC_STABLE_BIT,
      pad1: 0,
    };
    vcpu.info.write(vcpuTimeInfo, vcpu.domain.offsets.time, value, 8);
    if (vcpu.timeArea) {
      const bytes = new Uint8Array(vcpuTimeInfo.size(8));
      vcpuTimeInfo.write(new DataView(bytes.buffer), 0, value, 8);
      this.#writeArea(vcpu.timeArea.address, vcpu.timeArea.width, bytes);
    }
  }

  /** The runstate record that VCPUOP_get_runstate_info and the registered area show, with the time up to now. */
  runstate(vcpu: Vcpu): { state: number; state_entry_time: bigint; time: bigint[] } {
    const run = vcpu.runstate;
    const now = this.#machine.now();
    const time = run.time.map((t, i) => BigInt(t + (i === run.state ? now - run.entry : 0)));
    return { state: run.state, state_entry_time: BigInt(run.entry), time };
  }

  /** Copies the runstate to where the vcpu, current in the engine, asked for it. */
  publishRunstate(vcpu: Vcpu): void {
    const area = vcpu.runstateArea;
    if (!area) return;
    const run = vcpu.runstate;
    const value = { state: run.state, state_entry_time: BigInt(run.entry), time: run.time.map(BigInt) };
    const bytes = new Uint8Array(runstateInfo.size(area.width));
    const view = new DataView(bytes.buffer);
    if ((vcpu.domain.vmAssist >> BigInt(VMASST.TYPE_runstate_update_flag)) & 1n) {
      // The flag is up while the rest changes; a guest on the same clock never sees the middle, but may check the order.
      runstateInfo.write(view, 0, { ...value, state_entry_time: value.state_entry_time | RUNSTATE_UPDATE }, area.width);
      this.#writeArea(area.address, area.width, bytes);
    }
    runstateInfo.write(view, 0, value, area.width);
    this.#writeArea(area.address, area.width, bytes);
  }

  #writeArea(address: bigint, width: Width, bytes: Uint8Array): void {
    const before = this.#guest.width;
    this.#guest.width = width;
    this.#guest.tryWrite(address, bytes); // Xen too drops the update when the guest has unmapped the page
    this.#guest.width = before;
  }

  save(): { seconds: number; nanoseconds: number } {
    return { ...this.#wallclock };
  }
  restore(state: { seconds: number; nanoseconds: number }): void {
    this.#wallclock = { ...state };
  }
}
