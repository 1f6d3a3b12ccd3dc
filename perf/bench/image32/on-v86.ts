/** Runs the 32-bit image on v86, from npm, in this process: with its compiler, or with its interpreter alone. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { hostTime, type HostTime, since } from '../../timer.ts';
import type { Run32 } from './image.ts';

const build = fileURLToPath(new URL('../v86/node_modules/v86/build/', import.meta.url));

/** Why it cannot be compared with, or undefined. */
export const v86Missing: string | undefined = existsSync(`${build}libv86.mjs`)
  ? undefined
  : 'v86 is not installed: run "npm run bench:v86"';

/** What is used of v86's interface (v86.d.ts of version 0.5.462). */
interface Emulator {
  add_listener(event: 'serial0-output-byte', listener: (byte: number) => void): void;
  destroy(): Promise<void>;
}
interface V86Module {
  V86: new (options: object) => Emulator;
}

const LIMIT_MS = 120_000;

export async function runOnV86(image: Uint8Array<ArrayBuffer>, compiler: boolean): Promise<Run32> {
  const { V86 } = (await import(pathToFileURL(`${build}libv86.mjs`).href)) as V86Module;
  const emulator = new V86({
    wasm_path: `${build}v86.wasm`,
    multiboot: { buffer: image.slice().buffer },
    memory_size: 16 << 20,
    vga_memory_size: 2 << 20,
    autostart: true,
    disable_jit: !compiler,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
  });
  let text = '';
  let start: HostTime | undefined;
  let host: HostTime | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error('v86 did not end')), LIMIT_MS);
      emulator.add_listener('serial0-output-byte', (byte) => {
        if (byte === 0x53) start = hostTime();
        else if (byte === 0x44 && start) host = since(start);
        else if (byte === 0x0a) {
          clearTimeout(limit);
          resolve();
        } else text += String.fromCharCode(byte);
      });
    });
  } finally {
    await emulator.destroy();
  }
  if (!host) throw new Error(`the 32-bit image did not end on v86: ${JSON.stringify(text)}`);
  return { host, instructions: undefined, result: text };
}

/** For the record. */
export function v86Version(): string {
  return (JSON.parse(readFileSync(`${build}../package.json`, 'utf8')) as { version: string }).version;
}
