import type { Vcpu } from '../vcpu.ts';

/** How pending events reach their domain (Xen's `struct evtchn_port_ops`): the seam for other channel ABIs. */
export interface EventAbi {
  /** Ports below this can be used. */
  readonly maxPorts: number;
  setPending(vcpu: Vcpu | undefined, port: number): void;
  clearPending(port: number): void;
  unmask(vcpu: Vcpu | undefined, port: number): void;
  isPending(port: number): boolean;
  isMasked(port: number): boolean;
  /** A port was bound. */
  opened?(port: number): void;
}
