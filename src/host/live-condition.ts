/**
 * A condition looked at while its session runs, silently: before an instruction it names, at writes to memory it reads,
 * and whenever a vcpu's run ends (its turn is over, it exits, it is interrupted). What hangs on registers alone is
 * looked at only there.
 */
import type { WatchedBytes } from '../cpu/engine/debug-taps.ts';
import type { SymbolTable } from '../debug/symbols/symbol-table.ts';
import type { Vcpu } from '../hypervisor/vcpu.ts';
import { holds } from '../inspect/condition/evaluate.ts';
import { ConsoleText } from '../inspect/condition/event-match.ts';
import type { ConsoleAtom, Node } from '../inspect/condition/node.ts';
import { type Plan, planOf, symbolsIn } from '../inspect/condition/plan.ts';
import { vcpuPlace } from '../inspect/condition/vcpu-place.ts';
import { translate } from '../inspect/places.ts';
import { symbolsOf } from '../inspect/symbols.ts';
import type { Session } from '../session.ts';

export interface Subject {
  /** Name of the domain whose registers and memory are meant. */
  readonly domain: string;
  /** Instead of the guest's own symbols. */
  readonly symbols?: SymbolTable | undefined;
}

export class LiveCondition {
  /** The tick from which on it held for the first time. */
  met: number | undefined;
  /** Names that the guest never had a symbol for. */
  missing: readonly string[];
  readonly #session: Session;
  readonly #condition: Node;
  readonly #subject: Subject;
  readonly #addresses = new Map<string, bigint>();
  readonly #printed = new Map<ConsoleAtom, { readonly text: ConsoleText; done: boolean }>();
  #plan: Plan | undefined;
  /** What is watched now, as text. */
  #watched = '';
  #last = 0;

  /** Attaches itself. */
  constructor(session: Session, condition: Node, subject: Subject) {
    this.#session = session;
    this.#condition = condition;
    this.#subject = subject;
    this.missing = [...new Set(symbolsIn(condition))];
    this.#prepare();
    session.onConsole((domain, bytes) => {
      for (const each of this.#printed.values()) each.done ||= each.text.add(domain, bytes) > 0;
    });
    const { taps } = session.engine;
    taps.onProbe = (_, tick) => this.#probed(tick);
    taps.onWrite = ({ tick, outside }) => {
      this.#look(outside ? tick : this.#last);
      this.#last = tick + 1;
    };
    taps.onRun = (slot, start, retired) => this.#ran(slot, start + retired);
  }

  /** A last look, at the end of the session. */
  end(): void {
    this.#look(this.#last);
  }

  #ran(slot: number, tick: number): void {
    if (this.met !== undefined) return;
    if (this.#plan === undefined) this.#prepare();
    this.#look(this.#last);
    const vcpu = this.#vcpus().find((each) => each.slot.index === slot);
    if (this.#plan?.always && vcpu && this.#holds(vcpu, true)) this.met ??= tick;
    this.#watch();
    this.#last = Math.max(this.#last, tick);
  }

  #probed(tick: number): void {
    const { domain, vcpu } = this.#session.log.where;
    const running = this.#session.xen.find(domain)?.vcpus[vcpu];
    if (this.met === undefined && running && this.#vcpus().includes(running) && this.#holds(running, true)) {
      this.met = tick;
    }
  }

  #look(since: number): void {
    // Between its moments such a condition does not hold.
    if (this.#plan?.momentary) return;
    if (this.met === undefined && this.#vcpus().some((vcpu) => this.#holds(vcpu, false))) this.met = since;
  }

  #vcpus(): readonly Vcpu[] {
    const id = this.#session.domainId(this.#subject.domain);
    return id === undefined ? [] : (this.#session.xen.find(id)?.vcpus ?? []);
  }

  #holds(vcpu: Vcpu, registers: boolean): boolean {
    const place = vcpuPlace(this.#session, vcpu, {
      registers,
      symbol: (name) => this.#addresses.get(name),
      printed: (atom) => this.#printed.get(atom)?.done ?? false,
      happening: () => false,
    });
    return holds(this.#condition, place);
  }

  /** As soon as the guest's names are known, says to the engine what to listen to. */
  #prepare(): void {
    if (this.missing.length > 0) {
      const id = this.#session.domainId(this.#subject.domain);
      const symbols = this.#subject.symbols ?? (id === undefined ? undefined : symbolsOf(this.#session, id));
      for (const name of this.missing) {
        const address = symbols?.address(name);
        if (address !== undefined) this.#addresses.set(name, address);
      }
      this.missing = this.missing.filter((name) => !this.#addresses.has(name));
      if (this.missing.length > 0) return;
    }
    this.#plan = planOf(this.#condition, (name) => this.#addresses.get(name));
    for (const atom of this.#plan.consoles) this.#printed.set(atom, { text: new ConsoleText(atom), done: false });
    this.#session.engine.taps.setProbes(this.#plan.probes);
    this.#watch();
  }

  /** Page tables change, and what an address means with them. */
  #watch(): void {
    if (this.#plan === undefined || this.#plan.watches.length === 0) return;
    const pieces: WatchedBytes[] = [];
    for (const vcpu of this.#vcpus()) {
      for (const { address, length } of this.#plan.watches) {
        pieces.push(...translate(this.#session, vcpu, address, length));
      }
    }
    const text = pieces.map(({ mfn, offset, length }) => `${mfn}:${offset}:${length}`).join();
    if (text === this.#watched) return;
    this.#watched = text;
    this.#session.engine.taps.setWatches(pieces);
  }
}
