import { describe, expect, it } from 'vitest';
import { TerminalKeys } from '../../src/host/terminal-keys.ts';

function typing(...texts: string[]) {
  let screen = '';
  const keys = new TerminalKeys((text) => {
    screen += text;
  });
  for (const text of texts) keys.type(Buffer.from(text, 'latin1'));
  const guest = Buffer.from(keys.takeGuest() ?? []).toString('latin1');
  const commands: string[] = [];
  for (let each = keys.takeCommand(); each !== undefined; each = keys.takeCommand()) commands.push(each);
  return { keys, guest, commands, screen: () => screen };
}

describe('TerminalKeys', () => {
  it('gives the guest every key but Ctrl-] and Ctrl-A', () => {
    const all = Array.from({ length: 256 }, (_, i) => i).filter((i) => i !== 0x1d && i !== 0x01);
    expect(typing(String.fromCharCode(...all)).guest).toBe(String.fromCharCode(...all));
    const ended = typing('ab\x1dcd');
    expect([ended.guest, ended.keys.ended]).toEqual(['ab', true]);
  });

  it('sends a Ctrl-A that is typed twice, and one before a key that means nothing', () => {
    expect(typing('x\x01', '\x01y\x01a\x01z').guest).toBe('x\x01y\x01\x01z');
  });

  it('takes commands at the prompt, and leads back', () => {
    const { guest, commands, screen, keys } = typing('ls\r\x01c', 'xl lixt\x7f\x7fst\r', 'pause web\r', '\rwho\r');
    expect(guest).toBe('ls\rwho\r');
    expect(commands).toEqual(['xl list', 'pause web']);
    expect(screen()).toBe('\nxl> xl lixt\b \b\b \bst\npause web\n\n');
    keys.answered();
    expect(screen()).not.toMatch(/xl> $/);
  });

  it('shows the prompt again behind an answer, with what was typed meanwhile', () => {
    const { screen, keys } = typing('\x01clist\r', 'pa');
    keys.answered();
    expect(screen()).toBe('\nxl> list\npaxl> pa');
    expect(keys.waiting).toBe(false);
  });

  it('leaves the prompt by Ctrl-D and Ctrl-A c, and drops a line by Ctrl-U', () => {
    expect(typing('\x01c\x04a').guest).toBe('a');
    expect(typing('\x01cabc\x01cb')).toMatchObject({ guest: 'b', commands: [] });
    expect(typing('\x01cdestroy web\x15list\r').commands).toEqual(['list']);
  });

  it('has help', () => {
    expect(typing('\x01chelp\r').screen()).toContain('mem-set DOMAIN MIB');
    expect(typing('\x01?').screen()).toContain('Ctrl-A c');
  });
});
