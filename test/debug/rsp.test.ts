import { describe, expect, it } from 'vitest';
import { fromHex, framePacket, MAX_PACKET, PacketParser, toHex } from '../../src/debug/rsp/framing.ts';
import { PACKETS } from '../../src/debug/rsp/packets.ts';
import { Stub } from '../../src/debug/rsp/stub.ts';
import type { DebugTarget, Motion, PointRequest, Stopped, Work } from '../../src/debug/target.ts';

const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'));
const text = (data: Uint8Array) => Buffer.from(data).toString('latin1');

/** Three registers of a byte, 64 bytes of memory at 0x1000, and a log of what was asked. */
class FakeTarget implements DebugTarget {
  readonly reverses: boolean = true;
  readonly current = 257;
  readonly asked: string[] = [];
  readonly memory = Uint8Array.from({ length: 64 }, (_, i) => i);
  pieces = 2;
  stops: Stopped = { thread: 258, reason: 'watch', address: 0x1234n };
  targetXml() {
    return '<target/>';
  }
  threads() {
    return [
      { id: 257, name: 'a "b"', text: 'd1v0', core: 1 },
      { id: 258, name: 'c', text: 'd1v1' },
      { id: 513, name: 'd', text: 'd2v0' },
    ];
  }
  readRegisters(thread: number) {
    return this.threads().some(({ id }) => id === thread) ? Uint8Array.of(1, 2, thread & 255) : undefined;
  }
  readRegister(_thread: number, number: number) {
    return number > 3 ? undefined : Uint8Array.of(number);
  }
  writeRegister(thread: number, number: number, value: Uint8Array) {
    this.asked.push(`P ${thread} ${number} ${toHex(value)}`);
    return number > 3 ? 'there is no such register' : undefined;
  }
  writeRegisters(thread: number, value: Uint8Array) {
    this.asked.push(`G ${thread} ${toHex(value)}`);
    return undefined;
  }
  readMemory(_thread: number, address: bigint, length: number) {
    const at = Number(address) - 0x1000;
    return at < 0 || at >= 64 ? undefined : this.memory.slice(at, at + length);
  }
  writeMemory(_thread: number, address: bigint, data: Uint8Array): string | undefined {
    if (address < 0x1000n || address + BigInt(data.length) > 0x1040n) return 'not mapped';
    this.memory.set(data, Number(address) - 0x1000);
    return undefined;
  }
  insertPoint({ kind, address, thread, everywhere, conditions }: PointRequest) {
    this.asked.push(
      `Z ${kind} ${address.toString(16)} ${thread} ${everywhere} ${conditions.map(toHex).join(' ')}`.trim(),
    );
    return kind === 'access' ? 'not that' : undefined;
  }
  removePoint() {}
  *move(motion: Motion): Work<Stopped> {
    this.asked.push(JSON.stringify(motion, (_, value) => (typeof value === 'bigint' ? Number(value) : value)));
    for (let i = 0; i < this.pieces; i++) yield;
    return this.stops;
  }
  interrupted(): Stopped {
    return { thread: 257, reason: 'interrupt' };
  }
  joined(): Stopped {
    return { thread: 257, reason: 'step' };
  }
  left() {
    this.asked.push('left');
  }
  // biome-ignore lint/correctness/useYield: an answer at once
  *monitor(command: string): Work<string> {
    return `you said ${command}\n`;
  }
  symbolFile(process: number) {
    return process === 1 ? Uint8Array.from({ length: 5000 }, (_, i) => i) : undefined;
  }
}

/** What the stub answers to one packet, without frame and acknowledgement. */
function ask(stub: Stub, data: string): string {
  let out = text(stub.push(framePacket(data)));
  while (stub.busy) out += text(stub.work().out);
  return /\$(.*)#..$/s.exec(out)?.[1] ?? out;
}

describe('packets', () => {
  it('come apart into what they hold, however the bytes arrive', () => {
    const packet = framePacket('m1000,4}#$*\x03');
    for (const size of [1, 2, 3, packet.length]) {
      const parser = new PacketParser();
      const found = [];
      for (let i = 0; i < packet.length; i += size) found.push(...parser.push(packet.subarray(i, i + size)));
      expect(found).toEqual([{ kind: 'packet', data: 'm1000,4}#$*\x03' }]);
    }
  });

  it('with a wrong checksum, without hexadecimal digits or too long are refused', () => {
    const parser = new PacketParser();
    expect(parser.push(bytes('$g#68'))).toEqual([{ kind: 'bad' }]);
    expect(parser.push(bytes('$g#zz'))).toEqual([{ kind: 'bad' }]);
    expect(parser.push(framePacket('m'.repeat(MAX_PACKET + 1)))).toEqual([{ kind: 'bad' }]);
    expect(parser.push(bytes('\x03$g#67'))).toEqual([{ kind: 'interrupt' }, { kind: 'packet', data: 'g' }]);
    expect(fromHex('0g')).toBeUndefined();
    expect(fromHex('abc')).toBeUndefined();
  });
});

describe('the stub', () => {
  it('acknowledges until it is told not to', () => {
    const stub = new Stub(new FakeTarget());
    expect(text(stub.push(framePacket('qC')))).toBe('+$QC101#26');
    expect(text(stub.push(bytes('$qC#00')))).toBe('-');
    expect(text(stub.push(framePacket('QStartNoAckMode')))).toBe('+$OK#9a');
    expect(text(stub.push(framePacket('qC')))).toBe('$QC101#26');
    expect(text(stub.push(bytes('$qC#00')))).toBe('');
  });

  it('reads and writes for the thread that gdb chose', () => {
    const target = new FakeTarget();
    const stub = new Stub(target);
    expect(ask(stub, 'g')).toBe('010201');
    expect(ask(stub, 'Hg102')).toBe('OK');
    expect(ask(stub, 'g')).toBe('010202');
    expect(ask(stub, 'p2')).toBe('02');
    expect(ask(stub, 'p9')).toBe('E01');
    expect(ask(stub, 'P2=beef')).toBe('OK');
    expect(target.asked).toEqual(['P 258 2 beef']);
    expect(ask(stub, 'm1004,4')).toBe('04050607');
    expect(ask(stub, 'm2000,4')).toBe('E0e');
    expect(ask(stub, 'M1000,2:aabb')).toBe('OK');
    expect(ask(stub, 'X1002,3:\x01#$')).toBe('OK');
    expect(ask(stub, 'm1000,5')).toBe('aabb012324');
    expect(ask(stub, 'qfThreadInfo')).toBe('m101,102,201');
    expect(ask(stub, 'qThreadExtraInfo,102')).toBe(toHex(bytes('c: d1v1')));
    expect(ask(stub, 'T103')).toBe('E01');
    expect(ask(stub, 'Z0,1000,1')).toBe('OK');
    expect(ask(stub, 'Z3,1000,1')).toBe('OK');
    expect(ask(stub, 'Z4,1000,1')).toBe('E.not that');
    expect(ask(stub, 'Z9,1000,1')).toBe('');
    expect(ask(stub, `qRcmd,${toHex(bytes('when'))}`)).toBe(toHex(bytes('you said when\n')));
    expect(ask(stub, 'qXfer:features:read:target.xml:0,6')).toBe('m<targe'.slice(0, 7));
    expect(ask(stub, 'qXfer:features:read:target.xml:6,20')).toBe('lt/>');
    expect(ask(stub, 'vMustReplyEmpty')).toBe('');
  });

  it.each([
    ['vCont;s:102;c', { kind: 'step', reverse: false, thread: 258 }],
    ['vCont;c', { kind: 'continue', reverse: false }],
    ['vCont;r10,20:102;c', { kind: 'range', thread: 258, from: 16, to: 32 }],
    ['bs', { kind: 'step', reverse: true, thread: 257 }],
    ['bc', { kind: 'continue', reverse: true }],
  ])('%s moves and says where it stopped', (packet, motion) => {
    const target = new FakeTarget();
    const stub = new Stub(target);
    expect(text(stub.push(framePacket(packet)))).toBe('+');
    let out = '';
    let pieces = 0;
    for (; stub.busy; pieces++) out += text(stub.work().out);
    expect(out).toBe(text(framePacket('T05thread:102;watch:1234;')));
    expect(pieces).toBe(3);
    expect(JSON.parse(target.asked[0]!)).toEqual(motion);
  });

  it('breaks a motion off at Ctrl-C, at any moment', () => {
    const target = new FakeTarget();
    target.pieces = 1e9;
    const stub = new Stub(target);
    stub.push(framePacket('bc'));
    stub.work();
    expect(text(stub.push(Uint8Array.of(3)))).toBe(text(framePacket('T02thread:101;')));
    expect(stub.busy).toBe(false);
  });

  it('outlives garbage', () => {
    const target = new FakeTarget();
    target.writeMemory = (_thread, _address, data) => (data.length < 10 ? undefined : 'too much');
    const stub = new Stub(target);
    let seed = 99;
    const random = (n: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    const starts = Object.keys(PACKETS);
    const odd = ['', ',', ':', ';', '=', '-1', '0', 'ffffffffffffffff', 'zz', '\0', '1000,4', '1000,4:00', '#', '}'];
    for (let i = 0; i < 50_000; i++) {
      let data = random(3) > 0 ? starts[random(starts.length)]! : '';
      for (let k = random(4); k > 0; k--)
        data += random(2) ? odd[random(odd.length)]! : String.fromCharCode(random(256));
      const raw = random(2) ? framePacket(data) : bytes(data);
      stub.push(raw); // what it throws fails the test
      while (stub.busy) stub.work();
    }
    stub.push(bytes('#00'));
    expect(ask(stub, 'Hg101')).toBe('OK');
    expect(ask(stub, 'g')).toBe('010201');
  });
});
