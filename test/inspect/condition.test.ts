import { describe, expect, it, test } from 'vitest';
import { evaluate, holds, type Place } from '../../src/inspect/condition/evaluate.ts';
import { ConsoleText } from '../../src/inspect/condition/event-match.ts';
import { ConditionError, parseCondition } from '../../src/inspect/condition/parse.ts';
import { planOf, symbolsIn } from '../../src/inspect/condition/plan.ts';
import type { MachineEvent } from '../../src/log/event.ts';

const symbol = (name: string) => ({ here: 0x1000n, there: 0x2000n })[name];
/** Memory from 0x1000 to 0x10ff holds its own offset; rax is 5, rdi 0. */
const place: Place = {
  register: ({ name }) => ({ rax: 5n, rdi: 0n, rip: 0x1000n })[name] ?? undefined,
  memory: (address, length) => {
    if (address < 0x1000n || address + BigInt(length) > 0x1100n) return undefined;
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | ((address + BigInt(i)) & 0xffn);
    return value;
  },
  symbol,
  printed: ({ text }) => text === 'said "it"',
  happening: ({ fields }) => fields['port'] === '3',
};

test.each([
  ['1 + 2 * 3', 7n],
  ['(1 + 2) * 3 - -1', 10n],
  ['0xff_ff & 0x0ff0 | 1', 0xff1n],
  ['1 << 4 == 16', 1n],
  ['7 / 2 * 10 + 7 % 4', 33n],
  ['~0', 0xffff_ffff_ffff_ffffn],
  ['rax', 5n],
  ['$RAX + al + eax', undefined],
  ['here', 0x1000n],
  ['u8(here + 2)', 2n],
  ['u16(here)', 0x0100n],
  ['mem(here, 4)', 0x03020100n],
  ['mem(here)', 0x0706050403020100n],
  ['u8(here + 0x80)', 0x80n],
  ['s8(here + 0x80)', -128n],
  ['s16(here + 0xfe)', -2n],
  ['u32(there)', undefined],
  ['u8(u8(here + 1) + here)', 1n],
  ['1 / 0', undefined],
  ['!rax', 0n],
  ['!rdi', 1n],
  ['rax == 5 && rdi == 0', 1n],
  ['rax == 4 || rdi == 1', 0n],
  ['u8(0) == 1 || rax == 5', 1n],
  ['u8(0) == 1 && rax == 4', 0n],
  ['u8(0) == 1 && rax == 5', undefined],
  ['!(u8(0) == 1)', undefined],
  ['1 || 0 && 0', 1n],
  ['rax & 4 == 4', 1n],
  ['console:"said \\"it\\""', 1n],
  ['!console:never', 1n],
  ['event evtchn-close port=3 && rax == 5', 1n],
  ['event evtchn-close port=4', 0n],
])('%s', (text, value) => {
  expect(evaluate(parseCondition(text), place)).toBe(value);
  expect(holds(parseCondition(text), place)).toBe(value !== undefined && value !== 0n);
});

describe('what is wrong is shown', () => {
  test.each([
    ['', 'ends too early', 0],
    ['rax ==', 'ends too early', 6],
    ['rax = 5', 'write ==', 4],
    ['rax == 5 6', 'an operator was expected', 9],
    ['mem(5', '")" is missing', 5],
    ['mem(5, 3) == 1', '1, 2, 4 or 8 bytes', 7],
    ['foo(3)', 'no function foo', 0],
    ['$rxx == 1', 'no register $rxx', 0],
    ['12ab', 'no number', 0],
    ['1 < rax < 3', 'do not chain', 8],
    ['rax == 1 && console:"open', 'closing quote', 20],
    ['console:"\\q"', 'escape', 8],
    ['event nonsense', 'no event kind', 6],
    ['event halt x', 'no FIELD=VALUE', 11],
    ['event evtchn-close door=1', 'has no field door; it has domain', 19],
    [`${'('.repeat(100)}1${')'.repeat(100)}`, 'nested too deeply', 64],
  ])('%s', (text, problem, at) => {
    let error: unknown;
    try {
      parseCondition(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConditionError);
    const [said, shown, caret] = (error as Error).message.split('\n');
    expect(said).toContain(problem);
    const cut = Math.max(0, at - 60);
    expect(shown).toBe(`  ${text.slice(cut, cut + 100)}`);
    expect(caret!.indexOf('^') - 2 + cut).toBeGreaterThanOrEqual(at);
    expect(caret!.indexOf('^') - 2 + cut).toBeLessThanOrEqual(at + 2);
  });

  it('never crashes or hangs on garbage', () => {
    const pieces = [
      '(',
      ')',
      '&&',
      '||',
      '!',
      'rax',
      '==',
      '0x',
      '5',
      'mem',
      'u8(',
      'console:',
      '"',
      'event ',
      '=',
      ' ',
      ',',
      '-',
      '~',
      '\\',
    ];
    let state = 1;
    for (let n = 0; n < 3000; n++) {
      let text = '';
      for (let i = 0; i < 12; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        text += pieces[Math.floor((state / 2 ** 32) * pieces.length)];
      }
      try {
        holds(parseCondition(text), place);
      } catch (error) {
        expect(error).toBeInstanceOf(ConditionError);
      }
    }
    expect(() => parseCondition('1+'.repeat(5000))).toThrow('too long');
    expect(() => parseCondition('-'.repeat(4000))).toThrow('too deeply');
  });
});

describe('where a condition has to be looked at', () => {
  const plan = (text: string) => planOf(parseCondition(text), symbol);

  it.each([
    ['rip == here && rax == 5', { always: false, momentary: true, probes: [0x1000n], watches: [] }],
    ['here + 4 == rip', { always: false, momentary: true, probes: [0x1004n] }],
    ['u8(rsp) == 1 && rip == 1', { always: false, momentary: true, probes: [1n], watches: [] }],
    [
      'rip == 1 || u8(2) == 1',
      { always: false, momentary: false, probes: [1n], watches: [{ address: 2n, length: 1 }] },
    ],
    [
      'u32(here) == u16(there + 2)',
      {
        always: false,
        watches: [
          { address: 0x1000n, length: 4 },
          { address: 0x2002n, length: 2 },
        ],
      },
    ],
    ['rax == 5', { always: true }],
    ['!(rip == here)', { always: true }],
    ['rip == here || rax == 1', { always: true }],
    ['u8(rax) == 1', { always: true }],
    [
      'event halt && u8(1) == 1',
      { always: false, momentary: true, events: [{ kind: 'event', name: 'halt', fields: {} }], watches: [] },
    ],
    ['console:x && u8(1)', { always: false, momentary: false, consoles: [{ kind: 'console', text: 'x' }] }],
  ])('%s', (text, expected) => {
    expect(plan(text)).toMatchObject(expected);
  });

  it('names its symbols', () => {
    expect(symbolsIn(parseCondition('a == u8(b + 1) || !(c & rax)'))).toEqual(['a', 'b', 'c']);
  });
});

it('text is found across pieces, by domain, as often as it is there', () => {
  const output = (domain: number, text: string) =>
    ({ kind: 'console-output', domain, bytes: Buffer.from(text) }) as unknown as MachineEvent;
  const text = new ConsoleText({ kind: 'console', text: 'abä' });
  expect(text.count(output(1, 'xxab'))).toBe(0);
  expect(text.count(output(2, 'ä'))).toBe(0);
  expect(text.count(output(1, 'ä abä abäa'))).toBe(3);
  expect(text.count(output(1, 'bä'))).toBe(1);
});
