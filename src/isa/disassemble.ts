/** Intel-syntax text of machine code, for people: debuggers, traces, error messages. Never used to execute. Where they differ, AMD's reading. */
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from 'iced-x86';

/**
 * Disassembles the first instruction in `bytes`. `ip` is its address (branch targets are absolute).
 * Bytes that are no instruction give `(bad)`.
 */
export function disassemble(bytes: Uint8Array, ip: bigint, mode: 16 | 32 | 64): string {
  const decoder = new Decoder(mode, bytes, DecoderOptions.AMD);
  decoder.ip = ip;
  const instruction = decoder.decode();
  const formatter = new Formatter(FormatterSyntax.Intel);
  formatter.hexPrefix = '0x';
  formatter.hexSuffix = '';
  formatter.uppercaseHex = false;
  try {
    return instruction.isInvalid ? '(bad)' : formatter.format(instruction);
  } finally {
    formatter.free();
    instruction.free();
    decoder.free();
  }
}
