import { describe, expect, test } from 'vitest';
import { NEVER, ticks } from '../../src/base/ticks.ts';
import { Alarms } from '../../src/machine/alarms.ts';

function recorder() {
  const alarms = new Alarms();
  const fired: string[] = [];
  const make = (id: string) => alarms.create(id, (deadline) => fired.push(`${id}@${deadline}`));
  return { alarms, fired, make };
}

describe('alarms', () => {
  test('fire by deadline, equal ones in the order of setting', () => {
    const { alarms, fired, make } = recorder();
    const [a, b, c] = [make('a'), make('b'), make('c')];
    a.set(ticks(30));
    b.set(ticks(10));
    c.set(ticks(10));
    expect(alarms.next).toBe(10);
    alarms.fireDue(ticks(9));
    expect(fired).toEqual([]);
    alarms.fireDue(ticks(30));
    expect(fired).toEqual(['b@10', 'c@10', 'a@30']);
    expect(alarms.next).toBe(NEVER);
  });

  test('setting again moves an alarm, behind those set before for the same tick', () => {
    const { alarms, fired, make } = recorder();
    const [a, b] = [make('a'), make('b')];
    a.set(ticks(5));
    b.set(ticks(7));
    a.set(ticks(7));
    alarms.fireDue(ticks(7));
    expect(fired).toEqual(['b@7', 'a@7']);
  });

  test('an alarm set by another one fires in the same sweep if it is due', () => {
    const { alarms, fired, make } = recorder();
    const b = make('b');
    alarms.create('a', () => b.set(ticks(3))).set(ticks(4));
    alarms.fireDue(ticks(4));
    expect(fired).toEqual(['b@3']);
  });

  test('an alarm that always sets itself again for now is stopped with its name', () => {
    const alarms = new Alarms();
    const loop = alarms.create('loop', () => loop.set(ticks(1)));
    loop.set(ticks(1));
    expect(() => alarms.fireDue(ticks(1))).toThrow(/loop keeps firing/);
  });

  test('cancelled alarms do not fire; NEVER cancels', () => {
    const { alarms, fired, make } = recorder();
    const [a, b] = [make('a'), make('b')];
    a.set(ticks(1));
    b.set(ticks(2));
    a.cancel();
    b.set(NEVER);
    alarms.fireDue(ticks(10));
    expect(fired).toEqual([]);
  });

  test('a thousand alarms set, moved and cancelled by a fixed pattern fire sorted', () => {
    const { alarms, fired, make } = recorder();
    const all = Array.from({ length: 1000 }, (_, i) => make(String(i)));
    let x = 12345;
    const next = () => {
      x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
      return x;
    };
    for (let i = 0; i < 5000; i++) {
      const alarm = all[next() % 1000];
      if (next() % 4 === 0) alarm.cancel();
      else alarm.set(ticks(next() % 500));
    }
    const armed = all.filter((a) => a.armed).sort((a, b) => a.deadline - b.deadline || a.order - b.order);
    const expected = armed.map((a) => `${a.id}@${a.deadline}`);
    expect(alarms.fireDue(ticks(500))).toBe(expected.length);
    expect(fired).toEqual(expected);
  });

  test('save and restore keep deadlines and order; an alarm without owner is named', () => {
    const { alarms, make } = recorder();
    make('a').set(ticks(9));
    make('b').set(ticks(9));
    make('c').set(ticks(2));
    const saved = JSON.parse(JSON.stringify(alarms.save()));
    const other = recorder();
    for (const id of ['b', 'c', 'a']) other.make(id);
    other.alarms.restore(saved);
    other.alarms.fireDue(ticks(9));
    expect(other.fired).toEqual(['c@2', 'a@9', 'b@9']);
    expect(() => recorder().alarms.restore(saved)).toThrow(/no owner for the saved alarm/);
  });
});
