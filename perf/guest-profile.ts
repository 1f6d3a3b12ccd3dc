/**
 * Where a guest spends its time: its RIP at every Nth tick. A cut of a run into pieces never shows in a session, so a
 * profile changes nothing, and the same session gives the same profile on every host.
 */
import { ticks } from '../src/base/ticks.ts';
import { SEG } from '../src/cpu/state.ts';
import type { Session } from '../src/session.ts';
import { SymbolTable } from '../replay/symbols.ts';

export interface GuestSample {
  readonly domain: string;
  readonly vcpu: number;
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
  readonly #counts = new Map<string, { name: string; domain: string; kernel: boolean; count: number }>();
  readonly #symbols = new Map<string, SymbolTable | undefined>();
  #samples = 0;
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
    this.#samples++;
    const now = session.now();
    const at = this.#idleTo === now ? undefined : runningVcpu(session);
    if (!at) {
      this.#idle++;
      return false;
    }
    const name = this.#name(at);
    const key = `${at.domain} ${at.ring} ${name}`;
    const entry = this.#counts.get(key);
    if (entry) entry.count++;
    else this.#counts.set(key, { name, domain: at.domain, kernel: at.ring === 0, count: 1 });
    return true;
  }

  profile(): GuestProfile {
    const busy = Math.max(1, this.#samples - this.#idle);
    const places = [...this.#counts.values()]
      .map((entry) => ({ ...entry, share: entry.count / busy }))
      .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
    return { places, samples: this.#samples, idle: this.#idle, everyTicks: this.#everyTicks };
  }

  /** Function of the domain's kernel, else the page. */
  #name({ domain, rip, ring }: GuestSample): string {
    const symbol = ring === 3 ? undefined : this.#table(domain)?.name(rip);
    return symbol?.replace(/\+0x[0-9a-f]+$/, '') ?? `0x${(rip & ~0xfffn).toString(16)} (page)`;
  }

  #table(domain: string): SymbolTable | undefined {
    if (!this.#symbols.has(domain)) {
      const { config, images } = this.#session;
      const kernel = config.domains.find((entry) => entry.config.name === domain)?.kernel;
      const image = kernel === undefined ? undefined : images.get(kernel);
      this.#symbols.set(domain, image && new SymbolTable(image.bytes));
    }
    return this.#symbols.get(domain);
  }
}

/** The vcpu that ran last. */
function runningVcpu(session: Session): GuestSample | undefined {
  const { engine, xen } = session;
  const { current } = engine;
  if (!current) return undefined;
  for (const { domain, vcpu, slot } of xen.vcpus()) {
    if (slot !== current) continue;
    const ring = engine.state.selector(SEG.CS) & 3;
    return { domain: xen.find(domain)!.name, vcpu, ring, rip: engine.state.rip };
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
