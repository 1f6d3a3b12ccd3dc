/** The host a benchmark ran on: without it no figure means anything. */
import { spawnSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';

export interface Host {
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly v8: string;
  readonly os: string;
  /** Others at work: over the last minute. */
  readonly load: number;
}

export function describeHost(): Host {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cpus: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    v8: process.versions.v8,
    os: `${process.platform} ${process.arch}`,
    load: Math.round(10 * (loadavg()[0] ?? 0)) / 10,
  };
}

export function hostLine({ cpu, cpus: count, memoryGiB, node, v8, os, load }: Host): string {
  return `${count} × ${cpu}, ${memoryGiB} GiB, ${os}, Node ${node} (V8 ${v8}), load ${load}`;
}

/** The commit that is checked out, with `+` if the sources differ from it; undefined outside a checkout. */
export function commitOf(folder: string): string | undefined {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: folder, encoding: 'utf8' });
  const head = git('rev-parse', '--short=12', 'HEAD');
  if (head.status !== 0) return undefined;
  const changed = git('status', '--porcelain', '--untracked-files=no', '--', 'src', 'replay', 'perf');
  return `${head.stdout.trim()}${changed.stdout.trim() === '' ? '' : '+'}`;
}
