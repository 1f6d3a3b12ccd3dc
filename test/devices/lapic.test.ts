import { beforeEach, describe, expect, test } from 'vitest';
import { NEVER, type Ticks } from '../../src/base/ticks.ts';
import { DELIVERY, type IpiMessage, Lapic, SHORTHAND } from '../../src/devices/lapic.ts';

let now: number;
let alarm: number;
let cr8: number;
let kicks: number;
let offset: bigint;
let sent: IpiMessage[];
let lapic: Lapic;

beforeEach(() => {
  [now, alarm, cr8, kicks, offset, sent] = [0, NEVER, 0, 0, 0n, []];
  lapic = make(4);
  lapic.write(0xf0, 0x1ff);
});

function make(id: number): Lapic {
  return new Lapic(id, id === 0, {
    now: () => now as Ticks,
    setAlarm: (deadline) => {
      alarm = deadline;
    },
    tscOffset: () => offset,
    taskPriority: () => cr8,
    setTaskPriority: (value) => {
      cr8 = value;
    },
    pending: () => kicks++,
    send: (message) => sent.push(message),
    timerNote: () => {},
  });
}
/** Lets time pass and the alarm ring. */
function pass(to: number): void {
  while (alarm <= to) {
    now = alarm;
    alarm = NEVER;
    lapic.timerFired(now as Ticks);
  }
  now = to;
}
const X2APIC = 0xfee00c00n;

describe('priorities (SDM 3A 11.8.3)', () => {
  test('the highest vector first; one in service holds back its class and those below', () => {
    for (const vector of [0x31, 0x52, 0x3f]) lapic.request(vector);
    expect(kicks).toBe(3);
    expect(lapic.highest()).toBe(0x52);
    lapic.acknowledge(0x52);
    expect(lapic.highest()).toBe(-1);
    lapic.request(0x5f);
    expect(lapic.highest()).toBe(-1); // the same class waits
    lapic.request(0x60);
    expect(lapic.highest()).toBe(0x60);
    lapic.acknowledge(0x60);
    lapic.write(0xb0, 0);
    expect(lapic.read(0xa0)).toBe(0x50);
    lapic.write(0xb0, 0);
    expect(lapic.highest()).toBe(0x5f);
  });

  test('task priority masks its class; its upper nibble is CR8', () => {
    lapic.request(0x41);
    lapic.write(0x80, 0x4f);
    expect([cr8, lapic.read(0x80), lapic.highest()]).toEqual([4, 0x4f, -1]);
    cr8 = 3;
    expect(lapic.highest()).toBe(0x41);
    expect(lapic.read(0x80)).toBe(0x3f);
  });

  test('IRR and ISR are readable, 32 vectors a register', () => {
    lapic.request(0x95);
    expect(lapic.read(0x200 + 0x40)).toBe(1 << 21);
    lapic.acknowledge(0x95);
    expect([lapic.read(0x240), lapic.read(0x140)]).toEqual([0, 1 << 21]);
  });

  test('a disabled APIC takes nothing', () => {
    lapic.write(0xf0, 0xff);
    lapic.request(0x50);
    expect([lapic.highest(), kicks]).toEqual([-1, 0]);
    expect(lapic.read(0x320) & 0x10000).toBe(0x10000); // and masks its table
  });
});

describe('timer (11.5.4)', () => {
  const start = (lvt: number, count: number, divide = 0xb) => {
    lapic.write(0x3e0, divide);
    lapic.write(0x320, lvt);
    lapic.write(0x380, count);
  };

  test('one shot, with the divisor', () => {
    start(0x40, 100, 0x0); // divide by 2: 20 ticks a count
    expect(alarm).toBe(2000);
    now = 500;
    expect(lapic.read(0x390)).toBe(75);
    pass(3000);
    expect([lapic.highest(), alarm, lapic.read(0x390)]).toEqual([0x40, NEVER, 0]);
  });

  test.each([
    [0x0, 2],
    [0x1, 4],
    [0x2, 8],
    [0x3, 16],
    [0x8, 32],
    [0x9, 64],
    [0xa, 128],
    [0xb, 1],
  ])('divide configuration %i is %i', (code, divisor) => {
    start(0x40, 7, code);
    expect(alarm).toBe(7 * divisor * 10);
  });

  test('periodic keeps its phase, even if it is served late', () => {
    start(0x20040, 50);
    expect(alarm).toBe(500);
    now = 1730;
    alarm = NEVER;
    lapic.timerFired(500 as Ticks);
    expect(alarm).toBe(2000);
    expect(lapic.read(0x390)).toBe(27);
  });

  test('masked: it counts and stays silent', () => {
    start(0x10040, 10);
    pass(1000);
    expect(lapic.highest()).toBe(-1);
  });

  test('a count of 0 stops it', () => {
    start(0x40, 10);
    lapic.write(0x380, 0);
    expect(alarm).toBe(NEVER);
  });

  test('TSC deadline: in the guest’s TSC; past ones at once; other registers are dead', () => {
    offset = 1_000_000n;
    start(0x40040, 99);
    expect([alarm, lapic.read(0x380)]).toEqual([NEVER, 0]);
    expect(lapic.writeMsr(0x6e0, 1_000_700n)).toBe(true);
    expect([alarm, lapic.readMsr(0x6e0)]).toEqual([700, 1_000_700n]);
    pass(700);
    expect([lapic.highest(), lapic.readMsr(0x6e0)]).toEqual([0x40, 0n]);
    now = 900;
    lapic.writeMsr(0x6e0, 5n);
    expect(alarm).toBe(900);
    lapic.writeMsr(0x6e0, 0n);
    expect(alarm).toBe(NEVER);
    lapic.writeMsr(0x6e0, 1_009_999n);
    lapic.write(0x320, 0x40); // back to one shot disarms
    expect([alarm, lapic.readMsr(0x6e0)]).toEqual([NEVER, 0n]);
  });
});

describe('x2APIC mode (11.12)', () => {
  test('switching modes: on, never back to xAPIC but through off', () => {
    expect([lapic.mapped, lapic.readMsr(0x802)]).toEqual([true, undefined]);
    expect(lapic.setBase(0xfee00400n)).toBe(false); // x2APIC without enable
    expect(lapic.setBase(X2APIC)).toBe(true);
    expect([lapic.mapped, lapic.x2apic]).toEqual([false, true]);
    expect(lapic.setBase(0xfee00800n)).toBe(false);
    expect(lapic.setBase(0xfee00000n)).toBe(true);
    expect(lapic.setBase(0xfee00800n)).toBe(true);
  });

  test('registers are MSRs; reserved bits, read-only and missing ones are #GP', () => {
    lapic.setBase(X2APIC);
    expect([lapic.readMsr(0x802), lapic.readMsr(0x803), lapic.readMsr(0x80d)]).toEqual([4n, 0x50014n, 0x10n]);
    expect(lapic.writeMsr(0x808, 0x20n)).toBe(true);
    expect([cr8, lapic.readMsr(0x808)]).toEqual([2, 0x20n]);
    for (const index of [0x802, 0x803, 0x80a, 0x80d, 0x80e, 0x820, 0x831, 0x839, 0x804, 0x840]) {
      expect([index, lapic.writeMsr(index, 0n)]).toEqual([index, false]);
    }
    expect(lapic.writeMsr(0x808, 1n << 32n)).toBe(false);
    expect([lapic.readMsr(0x80b), lapic.readMsr(0x80e), lapic.readMsr(0x831)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('the command register is one of 64 bits; self-IPI', () => {
    lapic.setBase(X2APIC);
    lapic.writeMsr(0x830, (7n << 32n) | 0x40f1n);
    expect(sent).toMatchObject([
      { vector: 0xf1, mode: DELIVERY.FIXED, destination: 7, x2apic: true, shorthand: SHORTHAND.NONE },
    ]);
    expect(lapic.readMsr(0x830)).toBe((7n << 32n) | 0x40f1n);
    lapic.writeMsr(0x83f, 0x77n);
    expect(lapic.highest()).toBe(0x77);
  });
});

describe('destinations (11.6.2)', () => {
  const to = (destination: number, logical: boolean, x2apic = false): IpiMessage => ({
    vector: 0x40,
    mode: 0,
    logical,
    shorthand: 0,
    destination,
    x2apic,
    assert: true,
  });

  test('physical, broadcast', () => {
    expect([lapic.matches(to(4, false)), lapic.matches(to(5, false)), lapic.matches(to(0xff, false))]).toEqual([
      true,
      false,
      true,
    ]);
  });
  test('logical, flat and cluster', () => {
    lapic.write(0xd0, 0x21000000);
    expect([lapic.matches(to(0x20, true)), lapic.matches(to(0x02, true))]).toEqual([true, false]);
    lapic.write(0xe0, 0x0fffffff);
    expect([lapic.matches(to(0x21, true)), lapic.matches(to(0x11, true)), lapic.matches(to(0x22, true))]).toEqual([
      true,
      false,
      false,
    ]);
  });
  test('logical in x2APIC mode: cluster and member from the id', () => {
    lapic.setBase(X2APIC);
    expect([lapic.matches(to(0x10, true, true)), lapic.matches(to(0x10010, true, true))]).toEqual([true, false]);
    expect(lapic.matches(to(0xffffffff, true, true))).toBe(true);
  });
  test('the command register of the page', () => {
    lapic.write(0x310, 0x06000000);
    lapic.write(0x300, 0xc4610);
    expect(sent).toMatchObject([
      { vector: 0x10, mode: DELIVERY.STARTUP, destination: 6, shorthand: SHORTHAND.OTHERS, assert: true },
    ]);
    lapic.write(0x300, 0x8500);
    expect(sent[1]).toMatchObject({ mode: DELIVERY.INIT, assert: false });
  });
});

test('saved and restored', () => {
  lapic.request(0x50);
  lapic.acknowledge(0x50);
  lapic.request(0x91);
  lapic.write(0x320, 0x20040);
  lapic.write(0x380, 1000);
  const copy = make(4);
  copy.restore(structuredClone(lapic.save()));
  now = 350;
  for (let at = 0; at < 0x400; at += 16) expect([at, copy.read(at)]).toEqual([at, lapic.read(at)]);
  expect(copy.highest()).toBe(0x91);
});
