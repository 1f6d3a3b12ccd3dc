/** Memory and writes to it as people type and read them. */
import { grouped } from '../src/log/print.ts';
import type { Watched, Write } from './queries.ts';

/** `0x1000`, `0x1000:8`, `phys:0x1000:8`. @throws RangeError */
export function parseMemory(text: string): Pick<Watched, 'address' | 'length' | 'physical'> {
  const [, physical, address, length] = /^(phys:)?(0x[0-9a-f]{1,16}|\d{1,15})(?::(\d{1,4}))?$/i.exec(text) ?? [];
  const bytes = Number(length ?? 8);
  if (address === undefined || bytes < 1 || bytes > 4096) {
    throw new RangeError(`"${text.slice(0, 60)}" is no ADDRESS[:LENGTH], such as 0xffffffff81000000:8`);
  }
  return { address: BigInt(address), length: bytes, physical: physical !== undefined };
}

/** One write as a line. */
export function writeText(write: Write | undefined, name?: (rip: bigint) => string | undefined): string {
  if (write === undefined) return 'nobody wrote there since the domain was built or the recording begins';
  const little = (bytes: Uint8Array) => `0x${Buffer.from(bytes).reverse().toString('hex')}`;
  const symbol = name?.(write.rip);
  const by = write.outside
    ? 'the hypervisor or a back end'
    : `d${write.domain}v${write.vcpu} at 0x${write.rip.toString(16)}${symbol ? ` <${symbol}>` : ''}`;
  return `tick ${grouped(write.tick)}: ${by} wrote ${little(write.after)} over ${little(write.before)}`;
}
