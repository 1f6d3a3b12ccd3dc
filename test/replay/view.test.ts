import { describe, expect, it } from 'vitest';
import { FileSource } from '../../src/host/files.ts';
import { openRecording } from '../../src/log/recording.ts';
import { sessionBuilder } from '../../replay/session-builder.ts';
import { Timeline } from '../../replay/timeline.ts';
import { render, type ViewState } from '../../replay/view.ts';
import { EventIndex } from '../../replay/view-index.ts';
import { keysOf } from '../../replay/view-keys.ts';
import { ViewModel } from '../../replay/view-model.ts';
import { projectRoot } from '../support/images.ts';

const file = `${projectRoot}recordings/demo.rxn`;
const recording = openRecording(new FileSource(file));
const index = new EventIndex(recording);
const size = { columns: 100, rows: 30 };

/** One timeline for all: what it has run through it need not run through again. */
const timeline = new Timeline(recording, sessionBuilder(recording, file));

function model(): ViewModel {
  return new ViewModel(timeline, index, { file });
}

function press(view: ViewModel, ...keys: string[]): ViewState {
  for (const key of keys) {
    view.key(key);
    while (view.busy) view.advance();
  }
  return view.state(size);
}

const type = (text: string) => ['g', ...text, 'enter'];
const picture = (state: ViewState, rows = size.rows, columns = size.columns) =>
  render(state, { rows, columns }).map(({ text }) => text);

describe('keys', () => {
  it('have names, also several at once', () => {
    expect(keysOf('\x1b[C\x1b[Dn\x1bOC')).toEqual(['right', 'left', 'n', 'right']);
    expect(keysOf('\x1b[5~\x1b[6~\x1b[H\x1b[4~')).toEqual(['pageup', 'pagedown', 'home', 'end']);
    expect(keysOf('g12\x7f\r')).toEqual(['g', '1', '2', 'backspace', 'enter']);
    expect(keysOf('\x1b')).toEqual(['escape']);
    expect(keysOf('\x1b[1;5C\x03')).toEqual(['right', 'interrupt']);
    expect(keysOf('\x1b[99~\xff\x00')).toEqual([]);
  });
});

describe('the view', () => {
  it('steps instructions both ways and shows the same again', () => {
    const view = model();
    const before = press(view, ...type('100000'));
    expect(before.tick).toBe(100_000);
    expect(before.code[0]).toMatch(/^=> /);
    const after = press(view, 'right', 'right', 'right');
    expect(after.tick).toBe(100_003);
    expect(after.registers).not.toEqual(before.registers);
    const back = press(view, 'left', 'left', 'left');
    expect({ ...back, message: '' }).toEqual({ ...before, message: '' });
  });

  it('goes from event to event, both ways', () => {
    const view = model();
    press(view, ...type('#200'));
    const next = press(view, 'n', 'n');
    expect(next.events.find((event) => event.next)?.text).toContain(eventText(202));
    expect(next.tick).toBe(index.tick(202));
    const back = press(view, 'p', 'p', 'p');
    expect(back.events.find((event) => event.next)?.text).toContain(eventText(199));
    expect(press(view, 'home', 'p').message).toContain('no event before');
  });

  const eventText = (seq: number) => index.list(seq, 1)[0]!.kind;

  it('follows one vcpu', () => {
    const view = model();
    press(view, ...type('60000'));
    const any = view.state(size).selected;
    expect(any).toMatch(/^any vcpu/);
    const one = press(view, 'tab');
    expect(one.selected).toBe('d1v0');
    press(view, 'left');
    expect(view.state(size).tick).toBeLessThan(one.tick);
    expect(press(view, 'tab').selected).toBe('d2v0');
  });

  it('zooms around the place', () => {
    const view = model();
    press(view, ...type('100000'));
    expect(view.state(size).window).toEqual({ from: 0, to: index.lastTick });
    const { window } = press(view, '+', '+');
    expect(window.to - window.from).toBeCloseTo(index.lastTick / 16);
    expect(window.from).toBeLessThanOrEqual(100_000);
    expect(window.to).toBeGreaterThan(100_000);
    expect(press(view, '-', '-', '-').window).toEqual({ from: 0, to: index.lastTick });
  });

  it('says what is wrong with a place, and stays', () => {
    const view = model();
    press(view, ...type('1000'));
    const { message, tick } = press(view, ...type('nowhere'));
    expect(message).toContain('is no place in a recording');
    expect(tick).toBe(1000);
    expect(press(view, 'g', '5', 'escape').prompt).toBeUndefined();
    expect(press(view, 'g', '5', '6', 'backspace').prompt).toContain(': 5_');
  });

  it('ends', () => {
    const view = model();
    view.key('q');
    expect(view.ended).toBe(true);
  });

  it('shows lanes, registers, code, events and console', () => {
    const view = model();
    const lines = picture(press(view, 'end'));
    const all = lines.join('\n');
    for (const text of ['rexen view demo.rxn', '▒', '▲', 'rip ', '── code', '── events', '── console', 'q quit']) {
      expect(all).toContain(text);
    }
    for (const [domain, name] of index.domains) expect(all).toContain(`d${domain} ${name}`);
    expect(all).toContain('ticker: 8 ticks, at most 0 us late');
  });

  it.each([
    [24, 80],
    [12, 40],
    [50, 200],
    [5, 20],
    [200, 400],
  ])('fits %i × %i', (rows, columns) => {
    const lines = picture(press(model(), ...type('100000')), rows, columns);
    expect(lines).toHaveLength(rows);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
  });

  it('stands any keys in any size', () => {
    const view = model();
    const pieces = [
      '\x1b[C',
      '\x1b[D',
      'n',
      'p',
      '\x1b[5~',
      '\x1b[6~',
      'g',
      '+',
      '-',
      '\t',
      '\x1b[H',
      '\x1b[F',
      '\r',
      '\x1b',
      '\x7f',
    ];
    pieces.push(
      '123456',
      'console:"x"',
      '#45',
      'end-10',
      '\x1b[1;5C',
      '\x1b[<0;1;1M',
      'ä',
      '\x00',
      '\x1b[200~p\x1b[201~',
      '\x1b[9;;;',
    );
    let state = 7;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    for (let i = 0; i < 250; i++) {
      for (const key of keysOf(pieces[random(pieces.length)]!)) press(view, key);
      const [columns, rows] = [[1, 2, 9, 40, 80, 300][random(6)]!, [1, 2, 5, 24, 90][random(5)]!];
      const lines = render(view.state({ columns, rows }), { columns, rows });
      expect(lines.length).toBeLessThanOrEqual(rows);
      for (const { text } of lines) expect(text.length).toBeLessThanOrEqual(columns);
    }
    expect(view.ended).toBe(false);
  });

  it('lets no guest steer the terminal', () => {
    const state = press(model(), ...type('100000'));
    const console = 'plain \x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J\r\nprogress 1\rprogress 2\n\x1b';
    const events = [{ text: 'evil \x1b[2J\u202e', next: true }];
    const lines = picture({ ...state, console, events }, 40);
    expect(lines.join('')).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/);
    expect(lines.join('\n')).toContain(' plain red ');
    expect(lines.join('\n')).toContain(' progress 2');
  });
});
