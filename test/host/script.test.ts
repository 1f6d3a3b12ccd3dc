import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseScript, ScriptError, ScriptRunner } from '../../src/host/script.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const runner = (text: string, domains = ['a', 'b']) => new ScriptRunner(parseScript(text, 's'), domains);

describe('parseScript', () => {
  it('reads every command, comments and escapes', () => {
    const script = parseScript(
      '# first\n\n  expect "a\\x41\\"\\\\"  # why\nsend "é\\xe9\\n\\r\\t\\e\\0"\nwait 1_000\ndomain web\ndomain "x y"\nend\n',
      'f',
    );
    expect(script.lines).toEqual([
      { line: 3, do: 'expect', text: 'aA"\\' },
      { line: 4, do: 'send', text: '\xc3\xa9\xe9\n\r\t\x1b\0' },
      { line: 5, do: 'wait', ticks: 1000 },
      { line: 6, do: 'domain', name: 'web' },
      { line: 7, do: 'domain', name: 'x y' },
      { line: 8, do: 'end' },
    ]);
  });

  it.each([
    ['send hello', 's:1: text must stand in double quotes'],
    ['\nexpect "a', 's:2: the closing quote is missing'],
    ['expect "a" b', 's:1: nothing may follow the closing quote'],
    ['send "\\q"', 's:1: \\q is no escape'],
    ['send ""', 's:1: send needs text that is not empty'],
    ['wait soon', 's:1: wait needs a number of ticks'],
    ['wait 99999999999999999999', 's:1: wait needs a number of ticks'],
    ['domain', 's:1: domain needs the name'],
    ['end now', 's:1: nothing may follow end'],
    ['typ "x"', 's:1: "typ" is no command'],
  ])('refuses %j', (text, message) => {
    expect(() => parseScript(text, 's')).toThrow(message);
  });

  it('never fails in another way', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 80 }),
        fc.constantFrom('', 'send "', 'wait '),
        (text, before) => {
          try {
            parseScript(before + text, 's');
          } catch (error) {
            expect(error).toBeInstanceOf(ScriptError);
          }
        },
      ),
    );
  });
});

describe('ScriptRunner', () => {
  it('waits for text that comes in pieces, then types', () => {
    const run = runner('expect "grub> "\nsend "ls\\n"\nend');
    expect(run.next(0)).toEqual({ do: 'expect' });
    run.onOutput('a', bytes('welcome\ngru'));
    expect(run.next(1)).toEqual({ do: 'expect' });
    run.onOutput('a', bytes('b> '));
    expect(run.next(2)).toEqual({ do: 'send', domain: 'a', bytes: bytes('ls\n') });
    expect(run.next(2)).toEqual({ do: 'end', explicit: true });
  });

  it('does not take old output for an answer', () => {
    const run = runner('expect "x"\nexpect "x"');
    run.onOutput('a', bytes('-x-'));
    expect(run.next(0)).toEqual({ do: 'expect' });
    expect(run.unmet).toContain('s:2: expect "x" was not met; the console of a ended with "-"');
    run.onOutput('a', bytes('x'));
    expect(run.next(0)).toEqual({ do: 'end', explicit: false });
  });

  it('waits for ticks from the moment it gets there', () => {
    const run = runner('expect "x"\nwait 100\nsend "y"');
    run.next(5);
    run.onOutput('a', bytes('x'));
    expect(run.next(50)).toEqual({ do: 'wait', until: 150 });
    expect(run.next(149)).toEqual({ do: 'wait', until: 150 });
    expect(run.next(150)).toMatchObject({ do: 'send' });
  });

  it('keeps consoles apart', () => {
    const run = runner('domain b\nexpect "x"\nsend "1"\ndomain a\nexpect "x"\nsend "2"');
    run.onOutput('a', bytes('x'));
    expect(run.next(0)).toEqual({ do: 'expect' });
    run.onOutput('b', bytes('x'));
    expect(run.next(0)).toMatchObject({ do: 'send', domain: 'b' });
    expect(run.next(0)).toMatchObject({ do: 'send', domain: 'a' });
  });

  it('names a domain that there is not', () => {
    expect(() => runner('send "x"\ndomain c')).toThrow('s:2: no domain is named "c"; there are: a, b');
  });
});
