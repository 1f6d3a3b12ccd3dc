import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ticks } from '../../src/base/ticks.ts';
import { HYPERCALL } from '../../src/hypervisor/abi/xen.ts';
import { Fixture, WIDTHS } from './fixture.ts';

const interesting = [
  0n,
  1n,
  2n,
  3n,
  5n,
  0x7ff0n,
  0x1000n,
  0x1ffcn,
  0x2000n,
  0x3fff8n,
  0x7000_0000n,
  0xffff_ffffn,
  2n ** 63n,
  2n ** 64n - 1n,
];
const argument = fc.oneof(
  fc.constantFrom(...interesting),
  fc.bigInt({ min: 0n, max: 40n }),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const word = fc.oneof(
  fc.constantFrom(0, 1, 2, 0x7ff0, 0x7ff00001, 0xffffffff, 4096, 64),
  fc.nat(0xffff),
  fc.nat(0x7fffffff),
);
const call = fc.record({
  nr: fc.oneof(fc.constantFrom(...Object.values(HYPERCALL)), fc.nat(130)),
  sub: fc.oneof(fc.nat(30), fc.nat(0x7fffffff)),
  args: fc.array(argument, { minLength: 4, maxLength: 4 }),
  memory: fc.array(word, { minLength: 24, maxLength: 24 }),
});

test.each(WIDTHS)('hostile calls of a %i-byte caller never break the hypervisor', (width) => {
  fc.assert(
    fc.property(fc.array(call, { minLength: 1, maxLength: 40 }), (calls) => {
      const f = new Fixture(width, { slice_ticks: 50, timeslice_ticks: 200 });
      const domain = f.domain({ vcpus: 2 });
      const peer = f.domain();
      const frames = f.engine.frames.freeFrames + domain.pages + peer.pages;
      const [v] = domain.vcpus;
      for (const { nr, sub, args, memory } of calls) {
        const bytes = new Uint8Array(Uint32Array.from(memory).buffer);
        for (const at of [0x1000, 0x2000]) if (domain.p2m.isWritable(at >> 12)) domain.physical.write(at, bytes);
        const result = f.callNumber(v, nr, sub, ...args);
        expect(Number.isSafeInteger(result)).toBe(true);
        if (domain.shutdownReason !== undefined) break;
        f.machine.run(ticks(f.machine.now() + 60));
      }
      f.xen.destroy(domain);
      f.xen.destroy(peer);
      // Nothing leaked: all that the two had is free again (their own Xen frames on top).
      expect(f.engine.frames.freeFrames).toBeGreaterThanOrEqual(frames);
    }),
    { numRuns: 60 },
  );
});
