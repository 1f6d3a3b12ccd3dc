/** Monitor commands of a session that is being recorded. */
import { grouped } from '../src/log/print.ts';
import type { Session } from '../src/session.ts';
import type { MonitorCommand } from './monitor.ts';

const MAX_MARKS = 1000;

export function liveCommands(session: Session): Readonly<Record<string, MonitorCommand>> {
  const marks = new Map<string, number>();
  const later = (what: string): MonitorCommand => ({
    usage: '',
    help: `not while recording: open the recording with rexen debug, and ${what}`,
    run: () => {
      throw new RangeError(
        `a session that is being recorded cannot be asked that; open its recording with rexen debug, and ${what}`,
      );
    },
  });
  return {
    when: {
      usage: '',
      help: 'where we are',
      run: () => {
        const tick = session.now();
        return `tick ${grouped(tick)}, event #${session.log.seq}, ${(tick / 1e9).toFixed(6)} s, recording\n`;
      },
    },
    mark: {
      usage: 'NAME',
      help: 'note this place, for rexen debug FILE --at TICK',
      run: (name) => {
        if (!/^[A-Za-z_][\w.-]{0,40}$/.test(name)) throw new RangeError('a mark has a name, such as: monitor mark bad');
        if (marks.size >= MAX_MARKS) throw new RangeError('there are too many marks');
        marks.set(name, session.now());
        return `${name} is tick ${grouped(session.now())}\n`;
      },
    },
    marks: {
      usage: '',
      help: 'marks and where they are',
      run: () =>
        [...marks].map(([name, tick]) => `${name.padEnd(20)} tick ${grouped(tick)}\n`).join('') || 'no marks\n',
    },
    seek: later('go anywhere'),
    events: later('see its events'),
    'who-wrote': later('ask it'),
  };
}
