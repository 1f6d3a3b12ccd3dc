/**
 * Where a guest spends its time: its RIP at every Nth tick. A cut of a run into pieces never shows in a session, so a
 * profile changes nothing, and the same session gives the same profile on every host.
 */
import { ticks } from '../src/base/ticks.ts';
import { SEG } from '../src/cpu/state.ts';
import type { Session } from '../src/session.ts';
import { symbolsOf } from '../src/inspect/symbols.ts';

type SymbolTable = NonNullable<ReturnType<typeof symbolsOf>>;

interface RunningVcpu {
  readonly domain: number;
  readonly name: string;
  readonly ring: number;
  readonly rip: bigint;
}

export interface GuestPlaceCount {
  /** Function, or the page where there are no symbols: `0xffffffff81234000 (page)`. */
  readonly name: string;
  readonly domain: string;
  readonly kernel: boolean;
  readonly count: number;
  /** Of the samples that were not idle. */
  readonly share: number;
}

export interface GuestProfile {
  readonly places: readonly GuestPlaceCount[];
  readonly samples: number;
  readonly idle: number;
  /** Distance of samples. */
  readonly everyTicks: number;
}

/** Default distance: a prime, so that it does not march in step with slices and timers. */
export const SAMPLE_TICKS = 10_007;

/** Samples a session that is replayed or runs live, to its end or to `untilTicks`. */
export class GuestSampler {
  readonly #session: Session;
  readonly #everyTicks: number;
  /** By domain: samples by ring and address. Named at the end, when a kernel's own symbols are known. */
  readonly #samples = new Map<string, { symbols: SymbolTable | undefined; counts: Map<string, number> }>();
  #count = 0;
  #idle = 0;
  #idleTo = -1;

  constructor(session: Session, everyTicks = SAMPLE_TICKS) {
    this.#session = session;
    this.#everyTicks = everyTicks;
    const { clock } = session.machine;
    const jump = clock.jump.bind(clock);
    clock.jump = (to) => {
      this.#idleTo = to;
      jump(to);
    };
  }

  /** Call it at each cut. @returns false if every processor waits */
  sample(): boolean {
    const session = this.#session;
    this.#count++;
    const at = this.#idleTo === session.now() ? undefined : runningVcpu(session);
    if (!at) {
      this.#idle++;
      return false;
    }
    const entry = this.#samples.get(at.name) ?? { symbols: undefined, counts: new Map<string, number>() };
    this.#samples.set(at.name, entry);
    entry.symbols = symbolsOf(session, at.domain) ?? entry.symbols;
    const key = `${at.ring} ${at.rip}`;
    entry.counts.set(key, (entry.counts.get(key) ?? 0) + 1);
    return true;
  }

  profile(): GuestProfile {
    const busy = Math.max(1, this.#count - this.#idle);
    const places = new Map<string, { name: string; domain: string; kernel: boolean; count: number }>();
    for (const [domain, { symbols, counts }] of this.#samples) {
      for (const [key, count] of counts) {
        const [ring, rip] = key.split(' ');
        const kernel = ring === '0';
        const name = functionAt(BigInt(rip), kernel ? symbols : undefined);
        const place = places.get(`${domain} ${ring} ${name}`) ?? { name, domain, kernel, count: 0 };
        place.count += count;
        places.set(`${domain} ${ring} ${name}`, place);
      }
    }
    const sorted = [...places.values()]
      .map((place) => ({ ...place, share: place.count / busy }))
      .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
    return { places: sorted, samples: this.#count, idle: this.#idle, everyTicks: this.#everyTicks };
  }
}

/** Function, or the page where there are no symbols. */
function functionAt(rip: bigint, symbols: SymbolTable | undefined): string {
  const symbol = symbols?.name(rip)?.replace(/\+0x[0-9a-f]+$/, '');
  return symbol ?? `0x${(rip & ~0xfffn).toString(16)} (page)`;
}

/** The vcpu that ran last. */
function runningVcpu(session: Session): RunningVcpu | undefined {
  const { engine, xen } = session;
  const { current } = engine;
  if (!current) return undefined;
  for (const { domain, slot } of xen.vcpus()) {
    if (slot !== current) continue;
    const ring = engine.state.selector(SEG.CS) & 3;
    return { domain, name: xen.find(domain)!.name, ring, rip: engine.state.rip };
  }
  return undefined;
}

/** Runs `session` to its end, sampling. `look` is called at each sample that finds a vcpu running. */
export function sampleGuest(
  session: Session,
  everyTicks = SAMPLE_TICKS,
  untilTicks = Number.MAX_SAFE_INTEGER,
  look: () => void = () => {},
): GuestProfile {
  const sampler = new GuestSampler(session, everyTicks);
  let stop: string = 'limit';
  while (stop === 'limit' && session.now() < untilTicks) {
    stop = session.run(ticks(session.now() + everyTicks));
    if (stop === 'limit' && sampler.sample()) look();
  }
  return sampler.profile();
}

/** A table for people. */
export function guestTable({ places, samples, idle, everyTicks }: GuestProfile, top: number): string[] {
  const lines = places.slice(0, top).map(({ name, domain, kernel, share, count }) => {
    return `${(100 * share).toFixed(1).padStart(6)} % ${String(count).padStart(8)}  ${domain} ${kernel ? 'kernel' : 'user  '}  ${name}`;
  });
  return [`${samples} samples, one every ${everyTicks} ticks; ${idle} of them idle`, '   share  samples', ...lines];
}
