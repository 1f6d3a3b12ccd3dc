import { describe, expect, it } from 'vitest';
import { XEN_NAMES } from '../../src/commands/common.ts';
import { FileSource } from '../../src/host/files.ts';
import { countByKind, countLines, type EventCount } from '../../src/log/count.ts';
import { openRecording } from '../../src/log/recording.ts';
import { selectEvents } from '../../src/log/select.ts';

const recording = openRecording(new FileSource(new URL('../../recordings/demo.rxn', import.meta.url).pathname));
const all = [...selectEvents(recording)];
const row = (rows: readonly EventCount[], what: string) => rows.find((each) => each.what === what)!;

describe('countByKind', () => {
  it('counts every event once, at its place', () => {
    const rows = countByKind(recording, {});
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(all.length);
    for (const { what, count, at, of } of rows) {
      const those = all.filter(({ kind }) => kind === what);
      expect(count).toBe(those.length);
      expect(at['d1v0'] ?? 0).toBe(those.filter(({ domain, vcpu }) => domain === 1 && vcpu === 0).length);
      expect(Object.values(at).reduce((a, b) => a + b)).toBe(count);
      expect(of).toEqual([]);
    }
  });

  it('says what they are about, if names are given', () => {
    const rows = countByKind(recording, { domain: 1 }, XEN_NAMES);
    const calls = row(rows, 'hypercall');
    const sends = all.filter(({ kind, domain }) => kind === 'evtchn-send' && domain === 1);
    expect(row(calls.of, 'event_channel_op send').count).toBe(sends.length);
    expect(calls.of.map(({ what }) => what)).toEqual(expect.arrayContaining(['sched_op shutdown', 'hvm_op get_param']));
    expect(calls.of.reduce((sum, { count }) => sum + count, 0)).toBe(calls.count);
    expect(row(rows, 'interrupt-deliver').of[0]!.what).toMatch(/^vector 0x/);
    expect(row(rows, 'evtchn-bind').of.map(({ what }) => what)).toContain('interdomain');
    for (const { what } of row(rows, 'evtchn-send').of)
      expect(what).toMatch(/^port \d+ \((interdomain|unbound|ipi)\)$/);
    expect(row(rows, 'domain-shutdown').of).toMatchObject([{ what: 'poweroff', count: 1 }]);
  });

  it('passes what the filter passes', () => {
    const { tick } = all[500]!;
    const rows = countByKind(recording, { kinds: ['evtchn-send', 'hypercall'], from: tick }, XEN_NAMES);
    expect(rows.map(({ what }) => what)).toEqual(['hypercall', 'evtchn-send']);
    const wanted = all.filter(({ kind, tick: at }) => kind === 'evtchn-send' && at >= tick);
    expect(row(rows, 'evtchn-send').count).toBe(wanted.length);
    // Bound before the range, and known all the same.
    expect(row(rows, 'evtchn-send').of[0]!.what).toContain('(');
  });
});

describe('countLines', () => {
  const some = (what: string, at: Record<string, number>, of: readonly EventCount[] = []): EventCount => ({
    what,
    at,
    of,
    count: Object.values(at).reduce((a, b) => a + b, 0),
  });

  it('is the total, then a table with a column a vcpu', () => {
    const lines = countLines([
      some('hypercall', { d1v1: 1, d1v0: 1200 }, [some('vcpu_op up', { d1v0: 1 })]),
      some('idle', { xen: 5 }),
    ]);
    expect(lines[0]).toBe('1206');
    expect(lines.slice(1).map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['all', 'd1v0', 'd1v1', 'xen'],
      ['hypercall', '1,201', '1,200', '1', '-'],
      ['vcpu_op up', '1', '1', '-', '-'],
      ['idle', '5', '-', '-', '5'],
    ]);
    expect(countLines([])).toEqual(['0']);
  });

  it('has a column a domain where vcpus are many, and none where domains are', () => {
    const at = (domains: number, vcpus: number) =>
      Object.fromEntries(
        Array.from({ length: domains }, (_, d) =>
          Array.from({ length: vcpus }, (_, v) => [`d${d + 1}v${v}`, 2]),
        ).flat(),
      ) as Record<string, number>;
    expect(countLines([some('halt', at(2, 8))])[2]!.split(/ +/)).toEqual(['halt', '32', '16', '16']);
    expect(countLines([some('halt', at(30, 1))])[2]!.split(/ +/)).toEqual(['halt', '60']);
  });
});
