/** Runs recorded FXSAVE and FXRSTOR vectors against the image functions. */
import { PlainX87State, restoreSse, restoreX87, saveSse, saveX87 } from '../../../src/cpu/x87/index.ts';
import { decode, memoryAfter, memoryBytes, type Vector } from '../softfloat/vectors.ts';

export const FX_FORMS = ['fxsave', 'fxsave64', 'fxrstor', 'fxrstor64'];

function xmmFile(state: Partial<Vector['in']>, base?: Uint8Array): Uint8Array {
  const file = base ? base.slice() : new Uint8Array(512);
  for (const [n, text] of Object.entries(state.xmm ?? {})) {
    file.set(Buffer.from(text, 'hex').reverse(), 32 * Number(n));
  }
  return file;
}

function x87File(vector: Vector, after: boolean): PlainX87State {
  const state = new PlainX87State();
  const images = after ? [vector.in.x87, vector.out.x87] : [vector.in.x87];
  for (const image of images) {
    if (image?.fcw) state.fcw = Number(image.fcw);
    if (image?.fsw) state.fsw = Number(image.fsw);
    if (image?.ftw) state.ftw = Number(image.ftw);
    for (const [p, text] of Object.entries(image?.r ?? {})) state.registers[Number(p)] = BigInt(`0x${text}`);
  }
  return state;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** What differs, or undefined. Vectors that fault are not this runner's business. */
export function runFxVector(vector: Vector): string | undefined {
  if (vector.exception) return undefined;
  const wide = vector.form.endsWith('64');
  const { address } = decode(vector);
  const bytes = memoryBytes(vector, address, 512);
  const image = new DataView(bytes.buffer);
  const mxcsr = Number(vector.in.mxcsr ?? '0x1f80');
  const problem = vector.form.startsWith('fxsave')
    ? save(vector, wide, mxcsr, image, bytes, address)
    : restore(vector, wide, image);
  return problem ? `${vector.id} ${vector.form}: ${problem}` : undefined;
}

function save(vector: Vector, wide: boolean, mxcsr: number, image: DataView, bytes: Uint8Array, address: bigint) {
  saveX87(x87File(vector, false), image, wide);
  saveSse(mxcsr, xmmFile(vector.in), 16, image);
  const want = memoryAfter(vector, address, 512);
  // The MXCSR mask is the processor's own.
  for (const side of [bytes, want]) side.fill(0, 28, 32);
  return hex(bytes) === hex(want) ? undefined : `${hex(bytes)} want ${hex(want)}`;
}

function restore(vector: Vector, wide: boolean, image: DataView): string | undefined {
  const state = x87File(vector, false);
  restoreX87(state, image, wide);
  const xmm = xmmFile(vector.in);
  const mxcsr = restoreSse(xmm, 16, image);
  const want = x87File(vector, true);
  const wantMxcsr = Number(vector.out.mxcsr ?? vector.in.mxcsr ?? '0x1f80');
  if (mxcsr !== wantMxcsr) return `mxcsr ${mxcsr.toString(16)} want ${wantMxcsr.toString(16)}`;
  if (hex(xmm) !== hex(xmmFile(vector.out, xmmFile(vector.in)))) return `xmm ${hex(xmm)}`;
  for (const word of ['fcw', 'fsw', 'ftw'] as const) {
    if (state[word] !== want[word]) return `${word} ${state[word].toString(16)} want ${want[word].toString(16)}`;
  }
  const wrong = state.registers.findIndex((value, p) => value !== want.registers[p]);
  return wrong < 0 ? undefined : `r${wrong} ${state.registers[wrong].toString(16)}`;
}
