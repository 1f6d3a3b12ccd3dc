/** Keys by name, from what a terminal sends. */

/** Sequences after ESC [ or ESC O (ECMA-48, xterm). */
const SEQUENCES: Readonly<Record<string, string>> = {
  A: 'up',
  B: 'down',
  C: 'right',
  D: 'left',
  H: 'home',
  F: 'end',
  '1~': 'home',
  '4~': 'end',
  '5~': 'pageup',
  '6~': 'pagedown',
  '7~': 'home',
  '8~': 'end',
};
const CONTROLS: Readonly<Record<string, string>> = {
  '\r': 'enter',
  '\n': 'enter',
  '\t': 'tab',
  '\x7f': 'backspace',
  '\b': 'backspace',
  '\x03': 'interrupt',
  '\x15': 'clear',
  '\x1b': 'escape',
};

/**
 * Names of the keys in one piece of input: printable characters stand for themselves, others have names; what no key
 * sends is left out. A lone ESC is a key only if nothing follows it in the same piece, as terminals send it.
 */
export function keysOf(text: string): string[] {
  const keys: string[] = [];
  for (let rest = text; rest !== ''; ) {
    const sequence = /^\x1b[[O]([\d;]*[A-Za-z~])/.exec(rest);
    if (sequence) {
      const name = SEQUENCES[sequence[1]!.replace(/^1;\d+(?=[A-Z])/, '')];
      if (name) keys.push(name);
      rest = rest.slice(sequence[0].length);
      continue;
    }
    const char = rest[0]!;
    rest = rest.slice(1);
    const name = CONTROLS[char] ?? (char >= ' ' && char <= '~' ? char : undefined);
    if (name !== undefined) keys.push(name);
  }
  return keys;
}
