import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { config, map, take, toArray } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import { type Ticks, ticks } from '../../src/base/ticks.ts';
import { EventLog, type RecordBatch } from '../../src/log/append.ts';
import type { MachineEvent } from '../../src/log/event.ts';
import { KIND } from '../../src/log/kinds.ts';
import { between } from '../../src/log/streams/between.ts';
import { inDomain } from '../../src/log/streams/in-domain.ts';
import { ofKind } from '../../src/log/streams/of-kind.ts';
import { emitAny, eventArbitrary } from './arbitrary.ts';

const sha256 = () => createHash('sha256');

function collect(log: EventLog): MachineEvent[] {
  const seen: MachineEvent[] = [];
  log.events$.subscribe((event) => seen.push(event));
  return seen;
}

describe('EventLog', () => {
  afterEach(() => {
    config.onUnhandledError = null;
  });

  it('decodes what was appended', () => {
    let now = 5;
    const log = new EventLog(() => now as Ticks, { capacity: 4 });
    const seen = collect(log);
    Object.assign(log.where, { domain: 1, vcpu: 0, pcpu: 1 });
    log.append(KIND['evtchn-send'], 7);
    now = 2 ** 40 + 3;
    log.emit('hypercall', { nr: 29, args: [1n, 0xffff_ffff_ffff_ffffn, 0n, 0n, 5n] });
    log.appendBytes(KIND['console-output'], new TextEncoder().encode('hi'));
    log.emitAt(2, -1, 'xenstore', { op: 'read', transaction: 0, error: 'ENOENT', path: '/a/é', value: '' });
    log.flush();
    expect(seen).toEqual([
      { seq: 0, tick: 5, kind: 'evtchn-send', domain: 1, vcpu: 0, pcpu: 1, port: 7 },
      {
        seq: 1,
        tick: 2 ** 40 + 3,
        kind: 'hypercall',
        domain: 1,
        vcpu: 0,
        pcpu: 1,
        nr: 29,
        args: [1n, 0xffff_ffff_ffff_ffffn, 0n, 0n, 5n],
      },
      {
        seq: 2,
        tick: 2 ** 40 + 3,
        kind: 'console-output',
        domain: 1,
        vcpu: 0,
        pcpu: 1,
        bytes: Uint8Array.of(104, 105),
      },
      {
        seq: 3,
        tick: 2 ** 40 + 3,
        kind: 'xenstore',
        domain: 2,
        vcpu: -1,
        pcpu: 1,
        op: 'read',
        transaction: 0,
        error: 'ENOENT',
        path: '/a/é',
        value: '',
      },
    ]);
  });

  it('gives every kind back as it was emitted, whatever the batches, with one digest', () => {
    fc.assert(
      fc.property(fc.array(eventArbitrary(), { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (events, capacity) => {
        const run = (size: number) => {
          let now = 0;
          const log = new EventLog(() => now as Ticks, { capacity: size, createHash: sha256 });
          const seen = collect(log);
          for (const event of events) {
            now = event.tick;
            emitAny(log, event);
          }
          return { digest: log.digest(), seen };
        };
        const small = run(capacity);
        expect(small.seen).toEqual(events.map((event, seq) => ({ ...event, seq })));
        expect(run(4096).digest).toBe(small.digest);
      }),
      { numRuns: 60 },
    );
  });

  it('has a digest that every field of a record counts in', () => {
    const digestOf = (port: number, domain: number, tick: number, text: string) => {
      const log = new EventLog(() => ticks(tick), { createHash: sha256 });
      log.where.domain = domain;
      log.append(KIND['evtchn-send'], port);
      log.emit('note', { text });
      return log.digest();
    };
    const base = digestOf(1, 1, 1, 'a');
    expect(digestOf(1, 1, 1, 'a')).toBe(base);
    for (const other of [
      digestOf(2, 1, 1, 'a'),
      digestOf(1, 2, 1, 'a'),
      digestOf(1, 1, 2, 'a'),
      digestOf(1, 1, 1, 'b'),
    ])
      expect(other).not.toBe(base);
  });

  it('is not disturbed by subscribers and sinks that throw, and keeps the error of a sink', async () => {
    const late: unknown[] = [];
    config.onUnhandledError = (error) => late.push(error);
    const log = new EventLog(() => ticks(0), { capacity: 2 });
    log.events$.subscribe(() => {
      throw new Error('subscriber');
    });
    const seen = collect(log);
    let batches = 0;
    log.addSink({
      batch() {
        batches++;
        throw new Error('disk full');
      },
    });
    for (let port = 0; port < 7; port++) log.append(KIND['evtchn-send'], port);
    log.flush();
    expect(seen.map((event) => event.seq)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(batches).toBe(1);
    expect(String(log.failure)).toContain('disk full');
    await new Promise((done) => setTimeout(done, 5));
    expect(late).toHaveLength(7);
  });

  it('refuses an observer that appends', () => {
    const log = new EventLog(() => ticks(0), { capacity: 2 });
    log.addSink({ batch: () => log.append(KIND.wake) });
    log.append(KIND.wake);
    log.flush();
    expect(String(log.failure)).toContain('must not append');
    expect(log.seq).toBe(1);
  });

  it('shows each record to the verifier, with its bytes, before append returns', () => {
    const log = new EventLog(() => ticks(3), { capacity: 3 });
    const checked: string[] = [];
    log.verifier = {
      check: (seq, words, base, blobs, at) =>
        void checked.push(
          `${seq}:${words[base] & 0xffff}:${String.fromCharCode(...blobs.slice(at, at + words[base + 15]))}`,
        ),
    };
    log.appendBytes(KIND['console-output'], Uint8Array.of(65));
    log.append(KIND.wake);
    log.appendBytes(KIND['console-output'], Uint8Array.of(66, 67));
    log.appendBytes(KIND['console-output'], Uint8Array.of(68));
    expect(checked).toEqual(['0:112:A', '1:76:', '2:112:BC', '3:112:D']);
  });

  it('takes events of any size up to the limit', () => {
    const log = new EventLog(() => ticks(0));
    const sizes: number[] = [];
    log.addSink({
      batch: (batch: RecordBatch) => {
        for (let i = 0; i < batch.count; i++) sizes.push(batch.words[i * 16 + 15]);
      },
    });
    for (const size of [1 << 20, 100, 300_000, 200_000]) log.appendBytes(KIND.entropy, new Uint8Array(size));
    expect(() => log.appendBytes(KIND.entropy, new Uint8Array((1 << 20) + 1))).toThrow(RangeError);
    log.flush();
    expect(sizes).toEqual([1 << 20, 100, 300_000, 200_000]);
  });
});

describe('operators', () => {
  it('filter by kind, domain and time, and stop reading behind the end', () => {
    let now = 0;
    const log = new EventLog(() => now as Ticks);
    let got: unknown[] = [];
    let completed = false;
    log.events$
      .pipe(
        between(10, 20),
        ofKind('evtchn-send', 'wake'),
        inDomain(1),
        map((event) => (event.kind === 'evtchn-send' ? event.port : event.kind)),
        toArray(),
      )
      .subscribe({
        next: (all) => (got = all),
        complete: () => (completed = true),
      });
    for (let i = 0; i < 30; i++) {
      now = i;
      log.appendAt(i & 1, 0, KIND['evtchn-send'], i);
      if (i === 15) log.appendAt(1, 0, KIND.wake);
    }
    log.flush();
    expect(got).toEqual([11, 13, 15, 'wake', 17, 19]);
    expect(completed).toBe(true);
  });

  it('unsubscribes in the middle of a batch', () => {
    const log = new EventLog(() => ticks(0));
    const seen: number[] = [];
    log.events$.pipe(take(2)).subscribe((event) => seen.push(event.seq));
    for (let i = 0; i < 5; i++) log.append(KIND.wake);
    log.flush();
    expect(seen).toEqual([0, 1]);
  });
});
