import { describe, expect, it } from 'vitest';
import { walk } from '../../perf/bench/travel-walk.ts';
import { recordGuests } from '../snapshot/support.ts';

describe('a walk to random places and back', () => {
  const { recording, build } = recordGuests([
    { guest: 'race', cmdline: 'rounds=40 work=2000', vcpus: 2 },
    { guest: 'ticker', cmdline: 'ticks=6 period_ms=1' },
  ]);

  it('comes each time to what a straight replay has there', () => {
    const result = walk(recording, build, { seeks: 12, steps: 24, spacing: 20_000 });
    expect(result).toMatchObject({ wrong: [], checked: 36 });
    expect(result.steps).toHaveLength(24);
  });

  it('notices a place that is another one', () => {
    const one = recordGuests([{ guest: 'race', cmdline: 'rounds=20 work=2000', vcpus: 2 }]);
    let built = 0;
    const result = walk(
      one.recording,
      (parts) => {
        const session = one.build(parts);
        // Only the timeline, built first, has a byte of memory that no guest uses changed.
        if (built++ === 0) session.engine.frames.bytes[session.engine.frames.bytes.length - 1] = 1;
        return session;
      },
      { seeks: 2, steps: 2, spacing: 20_000 },
    );
    expect(result.wrong).toHaveLength(4);
  });
});
