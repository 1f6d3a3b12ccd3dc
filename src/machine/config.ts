import { type ChaosConfig, checkChaos } from './chaos.ts';

/**
 * What decides a machine's behaviour beside its inputs. Plain JSON: it goes into the head of a recording.
 * Changing any of it makes another session.
 */
export interface MachineConfig {
  /** Physical processors, 1..64. */
  readonly pcpus: number;
  /** Ticks a pcpu runs before the next one has its turn. */
  readonly slice_ticks: number;
  /** Machine memory for all domains together, MiB. */
  readonly memory_mib: number;
  /** Distance of state digests on the log; 0 for none. */
  readonly digest_interval_ticks: number;
  /** Name of the scheduler in hypervisor/schedulers. */
  readonly scheduler: string;
  /** How long a vcpu may run while others wait. */
  readonly timeslice_ticks: number;
  /** How turns and interrupts stray from the regular; without it they do not. */
  readonly chaos?: ChaosConfig;
}

export const DEFAULT_MACHINE: MachineConfig = {
  pcpus: 1,
  slice_ticks: 100_000,
  memory_mib: 512,
  digest_interval_ticks: 5_000_000,
  scheduler: 'round-robin',
  timeslice_ticks: 1_000_000,
};

/** Of the whole machine: what WebAssembly can address, less the tables. */
export const MAX_MEMORY_MIB = 3072;
const LIMITS: Readonly<Record<string, readonly [min: number, max: number]>> = {
  pcpus: [1, 64],
  slice_ticks: [1, 1_000_000_000],
  memory_mib: [1, MAX_MEMORY_MIB],
  digest_interval_ticks: [0, Number.MAX_SAFE_INTEGER],
  timeslice_ticks: [1, Number.MAX_SAFE_INTEGER],
};

/** A complete configuration from a partial one. @throws RangeError naming the field that is out of its limits */
export function machineConfig(partial: Partial<MachineConfig> = {}): MachineConfig {
  const config = { ...DEFAULT_MACHINE, ...partial };
  for (const [name, [min, max]] of Object.entries(LIMITS)) {
    const value = config[name as keyof MachineConfig] as number;
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new RangeError(`${name} must be a whole number from ${min} to ${max}, not ${value}`);
    }
  }
  return partial.chaos === undefined ? config : { ...config, chaos: checkChaos(partial.chaos, config.pcpus) };
}
