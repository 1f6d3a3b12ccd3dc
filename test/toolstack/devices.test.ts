import { describe, expect, test } from 'vitest';
import { vdevNumber } from '../../src/toolstack/devices.ts';

describe('numbers of virtual devices', () => {
  // xen/docs/man/xen-vbd-interface.7.pandoc.
  test.each([
    ['xvda', 51712],
    ['xvda1', 51713],
    ['xvdb', 51728],
    ['xvdp', 51952],
    ['xvdq', 0x10001000],
    ['xvdaa', 0x10001a00],
    ['hda', 768],
    ['hdb', 832],
    ['hdc', 5632],
    ['sda', 2048],
    ['sdb3', 2067],
    ['d1p2', 51730],
    ['d20', 0x10001400],
  ])('%s is %i', (name, number) => {
    expect(vdevNumber(name)).toBe(number);
  });
  test('anything else is no disk', () => {
    expect(() => vdevNumber('foo')).toThrow('foo');
  });
});
