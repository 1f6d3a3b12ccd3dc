/**
 * Chaos: a machine that takes turns less regularly than usual, so that races between processors show. What it does to
 * the machine is a list of perturbations, drawn from a seed or given one by one, and part of the machine's
 * configuration: a session under chaos is recorded and replayed like any other.
 *
 * A perturbation's place is a count of the ticks that its own pcpu has run. So it stays where it is in that
 * processor's program when others are left out, which is what makes shrinking a failure work.
 */

interface Place {
  readonly pcpu: number;
  /** When that pcpu itself has run so many ticks; at least 1. */
  readonly at: number;
}

/**
 *   preempt   the pcpu's turn ends here, and its vcpu goes behind others that wait for the pcpu
 *   stretch   the first turn used up from here on goes on for `ticks`
 *   hold      for `ticks` of the pcpu no interrupt and no event reaches its vcpu, unless that halts
 *   next      the first turn that ends from here on is followed by that of pcpu `to`
 */
export type Perturbation =
  | (Place & { readonly do: 'preempt' })
  | (Place & { readonly do: 'stretch'; readonly ticks: number })
  | (Place & { readonly do: 'hold'; readonly ticks: number })
  | (Place & { readonly do: 'next'; readonly to: number });

/** `chaos` in a machine's configuration. */
export interface ChaosConfig {
  /** 32 bits. */
  readonly seed: number;
  /** Mean distance of perturbations drawn from the seed, in ticks of a pcpu. */
  readonly mean_ticks: number;
  /** If given, these and no others. */
  readonly perturbations?: readonly Perturbation[];
}

/** More are neither drawn nor accepted. */
export const MAX_PERTURBATIONS = 10_000;
const MAX_TICKS = 1_000_000_000;

/** Checks what a recording's header says. @throws RangeError that names what is wrong */
export function checkChaos(value: unknown, pcpus: number): ChaosConfig {
  const { seed, mean_ticks, perturbations } = (value ?? {}) as Partial<ChaosConfig>;
  whole('chaos.seed', seed, 0, 0xffff_ffff);
  whole('chaos.mean_ticks', mean_ticks, 1, MAX_TICKS);
  const config = { seed: seed!, mean_ticks: mean_ticks! };
  if (perturbations === undefined) return config;
  if (!Array.isArray(perturbations) || perturbations.length > MAX_PERTURBATIONS) {
    throw new RangeError(`chaos.perturbations must be a list of at most ${MAX_PERTURBATIONS}`);
  }
  return { ...config, perturbations: perturbations.map((each) => checkPerturbation(each, pcpus)) };
}

function checkPerturbation(value: unknown, pcpus: number): Perturbation {
  const { pcpu, at, do: what, ticks, to } = (value ?? {}) as Record<string, unknown>;
  whole('pcpu of a perturbation', pcpu, 0, pcpus - 1);
  whole('place of a perturbation', at, 1, Number.MAX_SAFE_INTEGER);
  const place = { pcpu: pcpu as number, at: at as number };
  if (what === 'preempt') return { ...place, do: what };
  if (what === 'next') {
    whole('next pcpu of a perturbation', to, 0, pcpus - 1);
    return { ...place, do: what, to: to as number };
  }
  if (what !== 'stretch' && what !== 'hold') throw new RangeError('a perturbation does what this rexen does not know');
  whole('length of a perturbation', ticks, 1, MAX_TICKS);
  return { ...place, do: what, ticks: ticks as number };
}

function whole(name: string, value: unknown, min: number, max: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return;
  throw new RangeError(`the ${name} must be a whole number from ${min} to ${max}`);
}

/** SplitMix32: a 32-bit generator whose whole state is a counter. Gives whole numbers below `below`. */
export function generator(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x9e3779b9) | 0;
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return Math.floor((((z ^ (z >>> 15)) >>> 0) / 0x1_0000_0000) * below);
  };
}

/** The perturbations of a configuration, by pcpu and place: those it lists, or those that its seed gives. */
export function perturbationsOf(config: ChaosConfig, pcpus: number): Perturbation[] {
  if (config.perturbations) return [...config.perturbations].sort((a, b) => a.pcpu - b.pcpu || a.at - b.at);
  const all: Perturbation[] = [];
  for (let pcpu = 0; pcpu < pcpus; pcpu++) {
    const random = generator(config.seed ^ Math.imul(pcpu + 1, 0x85ebca6b));
    let at = 0;
    for (let n = Math.floor(MAX_PERTURBATIONS / pcpus); n > 0; n--) {
      at += 1 + random(2 * config.mean_ticks);
      all.push(draw(pcpu, at, pcpus, config.mean_ticks, random));
    }
  }
  return all;
}

function draw(pcpu: number, at: number, pcpus: number, mean: number, random: (below: number) => number): Perturbation {
  const kind = random(16);
  if (kind < 2) return { pcpu, at, do: 'hold', ticks: 1 + random(4 * mean) };
  if (kind < 3 && pcpus > 1) return { pcpu, at, do: 'stretch', ticks: 1 + random(8 * mean) };
  if (kind < 4 && pcpus > 1) return { pcpu, at, do: 'next', to: random(pcpus) };
  return { pcpu, at, do: 'preempt' };
}

export interface ChaosState {
  pcpus: { own: number; done: number; heldUntil: number; stretch: number; next: number }[];
}

interface PcpuChaos {
  readonly list: readonly Perturbation[];
  /** Ticks that the pcpu has run. */
  own: number;
  /** How many of the list have begun. */
  done: number;
  /** Own tick to which interrupts are held. */
  heldUntil: number;
  /** Ticks that the turn will be longer; pcpu that will be next, or -1. */
  stretch: number;
  next: number;
}

/** What the machine asks between runs. */
export class Chaos {
  readonly #pcpus: PcpuChaos[];

  constructor(config: ChaosConfig, pcpus: number) {
    const all = perturbationsOf(config, pcpus);
    this.#pcpus = Array.from({ length: pcpus }, (_, pcpu) => ({
      list: all.filter((each) => each.pcpu === pcpu),
      own: 0,
      done: 0,
      heldUntil: 0,
      stretch: 0,
      next: -1,
    }));
  }

  /** Ticks that `pcpu` may run before there is something to do here. */
  budget(pcpu: number): number {
    const p = this.#pcpus[pcpu];
    const point = p.done < p.list.length ? p.list[p.done].at : Number.MAX_SAFE_INTEGER;
    return (p.heldUntil > p.own ? Math.min(point, p.heldUntil) : point) - p.own;
  }

  /** True while interrupts and events are kept from `pcpu`. */
  holds(pcpu: number): boolean {
    return this.#pcpus[pcpu].heldUntil > this.#pcpus[pcpu].own;
  }

  /** `pcpu` ran. @returns true if it must give up its turn */
  ran(pcpu: number, retired: number): boolean {
    const p = this.#pcpus[pcpu];
    p.own += retired;
    let preempt = false;
    for (; p.done < p.list.length && p.list[p.done].at <= p.own; p.done++) {
      const each = p.list[p.done];
      if (each.do === 'preempt') preempt = true;
      else if (each.do === 'hold') p.heldUntil = Math.max(p.heldUntil, each.at + each.ticks);
      else if (each.do === 'stretch') p.stretch = each.ticks;
      else p.next = each.to;
    }
    return preempt;
  }

  /** Ticks by which the turn of `pcpu`, used up now, goes on. */
  takeStretch(pcpu: number): number {
    const { stretch } = this.#pcpus[pcpu];
    this.#pcpus[pcpu].stretch = 0;
    return stretch;
  }

  /** Whose turn follows that of `pcpu`, or -1 for the usual one. */
  takeNext(pcpu: number): number {
    const { next } = this.#pcpus[pcpu];
    this.#pcpus[pcpu].next = -1;
    return next;
  }

  /** The perturbations that have begun. */
  begun(): Perturbation[] {
    return this.#pcpus.flatMap(({ list, done }) => list.slice(0, done));
  }

  save(): ChaosState {
    return {
      pcpus: this.#pcpus.map(({ own, done, heldUntil, stretch, next }) => ({ own, done, heldUntil, stretch, next })),
    };
  }
  restore(state: ChaosState): void {
    for (const [i, each] of state.pcpus.entries()) Object.assign(this.#pcpus[i], each);
  }
}

/** Distances to try for a session of about `ticks`: from seed to seed another power of two, all as often. */
export function meanTicksFor(seed: number, ticks: number): number {
  const least = Math.max(LEAST_MEAN_TICKS, Math.ceil((2 * ticks) / MAX_PERTURBATIONS));
  let powers = 1;
  while (least * 2 ** powers * LEAST_IN_A_RUN <= ticks && least * 2 ** powers < MAX_TICKS) powers++;
  return Math.min(MAX_TICKS, least * 2 ** generator(seed ^ 0x6d2b79f5)(powers));
}

const LEAST_MEAN_TICKS = 256;
/** With fewer perturbations than this, a run is hardly another one. */
const LEAST_IN_A_RUN = 16;
