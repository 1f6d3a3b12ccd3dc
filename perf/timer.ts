/**
 * Host time. Machines are shared and clocks of the wall lie on them: rates are taken in processor time of this thread
 * (V8 compiles on other threads), and wall time only stands beside it.
 */

export interface HostTime {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
}

/** Node 24 has the thread's own time; before it, the process's. */
const threadUsage: () => NodeJS.CpuUsage =
  typeof process.threadCpuUsage === 'function' ? () => process.threadCpuUsage() : () => process.cpuUsage();

export function hostTime(): HostTime {
  const { user, system } = threadUsage();
  return { wallSeconds: performance.now() / 1000, cpuSeconds: (user + system) / 1e6 };
}

export function since(start: HostTime, end = hostTime()): HostTime {
  return {
    wallSeconds: end.wallSeconds - start.wallSeconds,
    // The system counts microseconds: less than one is one, so that a rate stays a number.
    cpuSeconds: Math.max(1e-6, end.cpuSeconds - start.cpuSeconds),
  };
}
