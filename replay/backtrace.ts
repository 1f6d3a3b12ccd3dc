/** How a vcpu came to where it is: by frame pointers as far as they lead, else by what on its stack looks like a return. */
import type { Vcpu } from '../src/hypervisor/vcpu.ts';
import type { Session } from '../src/session.ts';
import type { GuestSymbols } from './guest-symbols.ts';
import { contents, translate, withVcpu } from './places.ts';

export interface Frame {
  readonly address: bigint;
  readonly name: string | undefined;
  /** Found by scanning the stack: it may be left over from an earlier call. */
  readonly guess: boolean;
}

const RBP = 5;
const RSP = 4;
const SCANNED_WORDS = 1024;

/** @param depth frames at most */
export function backtrace(session: Session, vcpu: Vcpu, symbols: GuestSymbols, depth = 32): Frame[] {
  const { state } = session.engine;
  const [rip, rsp, rbp] = withVcpu(session, vcpu, () => [state.rip, state.reg(RSP), state.reg(RBP)] as const);
  const frames: Frame[] = [{ address: rip, name: symbols.name(rip), guess: false }];
  const word = (at: bigint): bigint | undefined => {
    const bytes = contents(session, translate(session, vcpu, at, 8));
    return bytes.length === 8 ? new DataView(bytes.buffer).getBigUint64(0, true) : undefined;
  };
  let frame = rbp;
  while (frames.length < depth && frame >= rsp && frame - rsp < 1n << 16n) {
    const next = word(frame);
    const back = word(frame + 8n);
    if (next === undefined || back === undefined || !isReturn(session, vcpu, symbols, back)) break;
    frames.push({ address: back, name: symbols.name(back), guess: false });
    if (next <= frame) return frames;
    frame = next;
  }
  if (frames.length > 2) return frames;
  frames.length = 1;
  for (let i = 0; i < SCANNED_WORDS && frames.length < depth; i++) {
    const back = word(rsp + BigInt(8 * i));
    if (back === undefined) break;
    if (isReturn(session, vcpu, symbols, back)) frames.push({ address: back, name: symbols.name(back), guess: true });
  }
  return frames;
}

/** True if `address` lies in code that has a name, right behind a CALL. */
function isReturn(session: Session, vcpu: Vcpu, symbols: GuestSymbols, address: bigint): boolean {
  if (!symbols.name(address)?.includes('+')) return false;
  const before = contents(session, translate(session, vcpu, address - 7n, 7));
  if (before.length < 7) return false;
  if (before[2] === 0xe8) return true; // CALL rel32
  // CALL r/m64, FF /2, of 2, 3, 6 and 7 bytes
  return [5, 4, 1, 0].some((at) => before[at] === 0xff && ((before[at + 1]! >> 3) & 7) === 2);
}

export function frameText({ address, name, guess }: Frame, number: number): string {
  return `#${String(number).padEnd(2)} 0x${address.toString(16).padStart(16, '0')} ${name ?? '??'}${guess ? ' (by stack scan)' : ''}`;
}
