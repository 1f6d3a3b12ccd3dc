/** Bad inputs: configurations, kernels and recordings that are random, truncated or hostile, each from a seed. */
import { random } from '../cpu/engine/random-code.ts';

/** Numbers that have hurt parsers before. */
const NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff];

/** Bytes with some of them changed, cut, repeated or replaced by awkward numbers. */
export function mutate(bytes: Uint8Array, seed: number, within = bytes.length): Uint8Array {
  const r = random(seed);
  let out = bytes.slice();
  const changes = 1 + (r() % 6);
  for (let i = 0; i < changes; i++) {
    const at = r() % Math.max(1, Math.min(within, out.length));
    switch (r() % 7) {
      case 0:
        out[at]! ^= 1 << (r() & 7);
        break;
      case 1:
        out[at] = r();
        break;
      case 2:
        out = out.slice(0, at);
        break;
      case 3: {
        const view = new DataView(out.buffer, out.byteOffset, out.length);
        if (at + 4 <= out.length) view.setUint32(at & ~3, NUMBERS[r() % NUMBERS.length]!, true);
        break;
      }
      case 4:
        out = concat(out.slice(0, at), out.slice(Math.min(out.length, at + (r() % 64))));
        break;
      case 5:
        out = concat(out.slice(0, at), out.slice(at, at + (r() % 256)), out.slice(at));
        break;
      default:
        out.fill(r(), at, at + (r() % 16));
    }
  }
  return out;
}

export function randomBytes(seed: number, length: number): Uint8Array {
  const r = random(seed);
  return Uint8Array.from({ length }, () => r() >>> 5);
}

function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Configurations that someone thought about. `KERNEL` stands for a path to a good kernel. */
export const HOSTILE_CONFIGS: readonly string[] = [
  '',
  '=',
  '[',
  '"',
  'name',
  'name =',
  'name = "a" name = "b"',
  'name = "a"\ntype = "pvh"\nkernel = "/no/such/file"',
  'name = "a"\ntype = "pvh"\nkernel = "/"',
  'name = "a"\ntype = "pvh"\nkernel = "/dev/zero"',
  'name = "a"\ntype = "pvh"\nkernel = "/dev/stdin"',
  'name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nramdisk = "/dev/random"',
  ...['0', '-1', '1', '3', '1e9', '99999999999999999999', '4194304', '0x10', '"8"', '[]', '2147483648'].map(
    (n) => `name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = ${n}`,
  ),
  ...['0', '-1', '129', '1000000', '""', '[1]'].map(
    (n) => `name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\nvcpus = ${n}`,
  ),
  'name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\nmaxmem = 4',
  'name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\nvcpus = 4\nmaxvcpus = 2',
  'name = "../../x"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8',
  `name = "${'n'.repeat(100_000)}"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8`,
  `name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\ncmdline = "${'x'.repeat(300_000)}"`,
  'name = "a"\ntype = "hvm"\nkernel = "KERNEL"\nmemory = 8',
  'name = "a"\ntype = "nonsense"\nkernel = "KERNEL"',
  'name = "a"\ntype = 7\nkernel = "KERNEL"',
  'name = ["a"]\nkernel = "KERNEL"',
  'kernel = "KERNEL"',
  'name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\non_crash = "explode"',
  'name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\ncpuid = "host,nonsense=x"',
  'name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\ncpuid = ["1:eax=zz", 7]',
  'name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\nuuid = "not-a-uuid"',
  'name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\ndisk = ["phy:/dev/null,xvda,w"]',
  'name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\ndisk = ["/dev/zero,raw,xvda,rw"]',
  'name = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\nvif = ["mac=zz", ""]',
  `x = ${'['.repeat(100_000)}`,
  `x = [${'1,'.repeat(100_000)}1]`,
  `${'a = 1\n'.repeat(100_000)}`,
  `# ${'c'.repeat(1_000_000)}`,
  'name = "a\u0000b"\ntype = "pvh"\nkernel = "KERNEL\u0000"\nmemory = 8',
  '\ufeffname = "a"\r\ntype = "pvh"\r\nkernel = "KERNEL"\r\nmemory = "eight"\r\n',
  "name = 'a'\ntype = 'pvh'\nkernel = 'KERNEL'\nmemory = 8\nextra = \"\\",
  '__proto__ = "x"\nconstructor = 1\nname = "a"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 0',
];

export const GOOD_CONFIG =
  'name = "guest"\ntype = "pvh"\nkernel = "KERNEL"\nmemory = 8\nvcpus = 1\ncmdline = "a b=c"\non_crash = "destroy"\non_reboot = "destroy"\ndisk = []\n';

/** What is wrong with an error that people see, or undefined if it is a clear one. */
export function unclear(error: unknown): string | undefined {
  if (!(error instanceof Error)) return `not an Error: ${String(error)}`;
  const text = error.message;
  if (error instanceof TypeError || error instanceof ReferenceError || error instanceof SyntaxError)
    return `an internal ${error.name}: ${error.stack}`;
  if (
    /Cannot read prop|is not a function|undefined|Invalid array|call stack|[Aa]llocation failed|WebAssembly|out of bounds|[Oo]ffset is out/.test(
      text,
    )
  )
    return `an internal message: ${error.stack}`;
  if (text.length < 8 || /\n\s+at /.test(text)) return `a poor message: ${text.slice(0, 200)}`;
  return text.length > 2000 ? `a message of ${text.length} characters` : undefined;
}
