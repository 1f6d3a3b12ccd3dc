import { PAGE_SIZE } from '../../memory/frames.ts';
import type { Vcpu } from '../vcpu.ts';
import type { Xen } from '../hypervisor.ts';
import { hypercallPage } from './hypercall-page.ts';

const HYPERCALL_PAGE = 0x40000000;

/**
 * MSRs that read as a constant, and ignore or refuse writes, under Xen 4.17 on AMD (guest_rdmsr and svm_msr_read_intercept):
 * microcode level, machine-check capability and status, SYSCFG, HWCR, and the performance counters that are not there.
 */
const CONSTANT: ReadonlyMap<number, { readonly value: bigint; readonly ignoreWrites: boolean }> = new Map([
  [0x8b, { value: 0x01000065n, ignoreWrites: true }], // PATCH_LEVEL
  [0x179, { value: 0n, ignoreWrites: false }], // MCG_CAP: no banks
  [0x17a, { value: 0n, ignoreWrites: true }], // MCG_STATUS
  [0xc0010010, { value: 0n, ignoreWrites: true }], // SYSCFG
  [0xc0010015, { value: 0n, ignoreWrites: true }], // HWCR
  [0xc0010055, { value: 0n, ignoreWrites: true }], // INT_PENDING_MSG
  [0xc001001f, { value: 0n, ignoreWrites: true }], // NB_CFG
  [0xc0011020, { value: 0n, ignoreWrites: true }], // LS_CFG
  [0xc0011022, { value: 0n, ignoreWrites: true }], // DC_CFG
  [0xc0011023, { value: 0n, ignoreWrites: true }], // BU_CFG
  [0xc0011029, { value: 0n, ignoreWrites: true }], // DE_CFG
  [0xc0010062, { value: 0n, ignoreWrites: true }], // PSTATE_CTL
  [0xc0010140, { value: 0n, ignoreWrites: true }], // OSVW_ID_LENGTH
  [0xc0010141, { value: 0n, ignoreWrites: true }], // OSVW_STATUS
]);

/** MSRs that the processor does not keep itself: Xen's own, and those of the platform. */
export class HvmMsrs {
  readonly #xen: Xen;

  constructor(xen: Xen) {
    this.#xen = xen;
  }

  /** @returns undefined for #GP */
  read(vcpu: Vcpu, index: number): bigint | undefined {
    return this.#xen.lapics.readMsr(vcpu, index) ?? CONSTANT.get(index)?.value;
  }

  /** @returns false for #GP */
  write(vcpu: Vcpu, index: number, value: bigint): boolean {
    if (index === HYPERCALL_PAGE) return this.#hypercallPage(vcpu, value);
    return this.#xen.lapics.writeMsr(vcpu, index, value) ?? CONSTANT.get(index)?.ignoreWrites ?? false;
  }

  /** Bits 11..0 are the page's number, of which there is one; the rest is where the guest wants it. */
  #hypercallPage(vcpu: Vcpu, value: bigint): boolean {
    const gfn = value >> 12n;
    if ((value & BigInt(PAGE_SIZE - 1)) !== 0n || gfn >= 1n << 40n) return false;
    const { domain } = vcpu;
    if (!domain.p2m.isWritable(Number(gfn))) return false;
    domain.physical.write(Number(gfn) * PAGE_SIZE, hypercallPage());
    this.#xen.latchWidth(domain, this.#xen.engine.state.is64 ? 8 : 4);
    return true;
  }
}
