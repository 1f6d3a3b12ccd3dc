/** A full-screen picture of text on an ANSI terminal, redrawn where it changes; keys as they are typed. */

export interface ScreenLine {
  readonly text: string;
  readonly style: 'plain' | 'bar' | 'here' | 'dim';
}

/** What is shown. It knows nothing of terminals. */
export interface Screen {
  readonly ended: boolean;
  /** True while it works on something: `advance` is called until it is not. */
  readonly busy: boolean;
  advance(): void;
  input(text: string): void;
  draw(size: { columns: number; rows: number }): readonly ScreenLine[];
}

const ALTERNATE_ON = '\x1b[?1049h\x1b[?25l\x1b[2J';
const ALTERNATE_OFF = '\x1b[0m\x1b[?25h\x1b[?1049l';
/** SGR: inverse for bars, bold for where we are. */
const STYLES = { plain: '', bar: '\x1b[7m', here: '\x1b[1m', dim: '\x1b[2m' } as const;
const REDRAW_MS = 50;

/** Shows `screen` until it ends, then gives the terminal back as it was. @throws Error where there is no terminal */
export async function showScreen(screen: Screen): Promise<void> {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY)
    throw new Error('this view needs a terminal: standard input and output must be one');
  const pending: string[] = [];
  let wake = () => {};
  let shown: string[] = [];
  let closed = false;
  const onData = (data: Buffer) => {
    pending.push(data.toString('latin1'));
    wake();
  };
  const onResize = () => {
    shown = [];
    stdout.write('\x1b[2J');
    wake();
  };
  const onEnd = () => {
    closed = true;
    wake();
  };
  stdin.setRawMode(true);
  stdin.on('data', onData);
  stdin.on('end', onEnd);
  stdout.on('resize', onResize);
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, onEnd);
  stdin.resume();
  stdout.write(ALTERNATE_ON);
  let drawn = 0;
  try {
    while (!screen.ended && !closed) {
      for (const text of pending.splice(0)) screen.input(text);
      if (screen.ended) break;
      if (!screen.busy || performance.now() - drawn > REDRAW_MS) {
        shown = redraw(screen, shown);
        drawn = performance.now();
      }
      if (screen.busy) {
        await new Promise((done) => setImmediate(done));
        if (pending.length === 0) screen.advance();
      } else if (pending.length === 0) {
        await new Promise<void>((done) => {
          wake = done;
        });
      }
    }
  } finally {
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.off(signal, onEnd);
    stdin.off('data', onData);
    stdin.off('end', onEnd);
    stdout.off('resize', onResize);
    stdin.setRawMode(false);
    stdin.pause();
    stdout.write(ALTERNATE_OFF);
  }
}

/** Writes the lines that differ from those shown. @returns what is shown now */
function redraw(screen: Screen, shown: readonly string[]): string[] {
  const { stdout } = process;
  const size = { columns: stdout.columns || 80, rows: stdout.rows || 24 };
  const lines = screen.draw(size).map(({ text, style }) => {
    const full = style === 'bar' ? text.padEnd(size.columns) : text;
    return `${STYLES[style]}${full}\x1b[0m\x1b[K`;
  });
  const changed = lines.map((line, i) => (line === shown[i] ? '' : `\x1b[${i + 1};1H${line}`)).join('');
  if (changed !== '') stdout.write(changed);
  return lines;
}
