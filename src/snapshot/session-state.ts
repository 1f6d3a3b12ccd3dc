/**
 * Everything of a session but its memory's contents, as records. Objects stay, their state changes: a snapshot can be
 * put back into any session of the same configuration that has the same domains (`domainsKey`).
 */
import type { EngineState } from '../cpu/engine/engine-snapshot.ts';
import type { EventChannelsState } from '../hypervisor/event-channel/channels.ts';
import type { GrantTableState } from '../hypervisor/grant-table/table.ts';
import type { SchedulingState } from '../hypervisor/scheduling.ts';
import type { Xen } from '../hypervisor/hypervisor.ts';
import type { LogState } from '../log/append.ts';
import type { MachineState } from '../machine/machine.ts';
import type { Session } from '../session.ts';
import type { Toolstack } from '../toolstack/domains.ts';
import { type DomainState, restoreDomain, saveDomain } from './domain-state.ts';

export interface SessionState {
  /** Which domains there were; see `domainsKey`. */
  readonly domains: string;
  readonly engine: EngineState;
  readonly machine: MachineState;
  readonly frames: { next: number; free: number[] };
  readonly hypervisor: HypervisorState;
  readonly toolstack: ReturnType<Toolstack['state']>;
  readonly log: LogState;
}

interface HypervisorState {
  readonly guests: readonly DomainState[];
  readonly dom0: { readonly events: EventChannelsState; readonly grants: GrantTableState };
  /** Grants of domains that are gone, which others still have mapped. */
  readonly ghosts: readonly [id: number, grants: GrantTableState][];
  readonly services: readonly number[];
  readonly refs: ReturnType<Xen['refs']['save']>;
  readonly scheduling: SchedulingState;
  readonly time: { seconds: number; nanoseconds: number };
  readonly rest: ReturnType<Xen['save']>;
}

/** Sessions of one configuration with equal keys have the same objects, so that one's state fits the other. */
export function domainsKey(session: Session): string {
  const { domains } = session.xen;
  return `${domains.created}:${[...domains.guests()].map(({ id }) => id).join()}`;
}

/** Between runs only. Changes nothing. */
export function saveSession(session: Session): SessionState {
  const { xen, toolstack, machine, engine, log } = session;
  return {
    domains: domainsKey(session),
    engine: engine.snapshots.save(),
    machine: machine.save(),
    frames: engine.frames.save(),
    hypervisor: saveHypervisor(xen),
    toolstack: toolstack.state(),
    log: log.save(),
  };
}

/** After memory is back. @throws Error if the session has other domains than the snapshot */
export function restoreSession(session: Session, state: SessionState): void {
  if (state.domains !== domainsKey(session)) throw new Error('the snapshot is of a session with other domains');
  const { xen, toolstack, machine, engine, log } = session;
  engine.frames.restore(state.frames);
  restoreHypervisor(xen, state.hypervisor);
  toolstack.restore(state.toolstack);
  machine.restore(state.machine);
  // Behind all that tells the engine of changes.
  engine.snapshots.restore(state.engine);
  log.restore(state.log);
}

function saveHypervisor(xen: Xen): HypervisorState {
  const { dom0, services } = xen.domains;
  return {
    guests: [...xen.domains.guests()].map((domain) => saveDomain(xen, domain)),
    dom0: { events: dom0.events.save(), grants: dom0.grants.save() },
    ghosts: ghostIds(xen).map((id) => [id, xen.domains.grantsOf(id)!.save()]),
    services: services.save(),
    refs: xen.refs.save(),
    scheduling: xen.scheduling.save(),
    time: xen.time.save(),
    rest: xen.save(),
  };
}

function restoreHypervisor(xen: Xen, state: HypervisorState): void {
  const { dom0, services } = xen.domains;
  for (const guest of state.guests) restoreDomain(xen, xen.find(guest.id)!, guest);
  dom0.events.restore(state.dom0.events);
  dom0.grants.restore(state.dom0.grants);
  for (const [id, grants] of state.ghosts) xen.domains.grantsOf(id)!.restore(grants);
  services.restore(state.services);
  xen.refs.restore(state.refs);
  xen.scheduling.restore(state.scheduling, (domain, vcpu) => xen.find(domain)!.vcpus[vcpu]);
  xen.time.restore(state.time);
  xen.restore(state.rest);
}

function ghostIds(xen: Xen): number[] {
  const ids: number[] = [];
  for (let id = 1; id <= xen.domains.created; id++) {
    if (!xen.find(id) && xen.domains.grantsOf(id)) ids.push(id);
  }
  return ids;
}
