/**
 * A session's state as JSON. That knows neither bigint nor typed arrays, maps, sets and the like: those are
 * `{ "$": type, "v": text }`. Large arrays can be kept outside: `{ "$": type, "at": which }`.
 */

const ARRAYS = { Uint8Array, Uint16Array, Uint32Array, Int32Array, Float64Array, BigUint64Array } as const;
export type StateArray = InstanceType<(typeof ARRAYS)[keyof typeof ARRAYS]>;

/** @param outside takes an array and says which it is there; undefined: it stays inside */
export function stateToJson(
  state: unknown,
  outside: (array: StateArray) => number | undefined = () => undefined,
): string {
  return JSON.stringify(state, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return scalar(value);
    if (value instanceof Map || value instanceof Set) {
      return { $: value instanceof Map ? 'Map' : 'Set', v: [...value] };
    }
    if (!ArrayBuffer.isView(value)) return value;
    const { buffer, byteOffset, byteLength } = value;
    const $ = value.constructor.name;
    const at = outside(value as StateArray);
    return at === undefined ? { $, v: Buffer.from(buffer, byteOffset, byteLength).toString('base64') } : { $, at };
  });
}

function scalar(value: unknown): unknown {
  if (typeof value === 'bigint') return { $: 'bigint', v: String(value) };
  if (typeof value === 'number' && !Number.isFinite(value)) return { $: 'number', v: String(value) };
  return value;
}

/** @throws RangeError, SyntaxError if it is not what `stateToJson` makes */
export function stateFromJson(text: string, outside?: (which: number) => Uint8Array<ArrayBuffer>): unknown {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    const { $: type, v, at } = value as { $?: unknown; v?: unknown; at?: unknown };
    if (typeof type !== 'string') return value;
    if (type === 'bigint') return BigInt(String(v));
    if (type === 'number') return Number(v);
    if (type === 'Map' && Array.isArray(v)) return new Map(v as [unknown, unknown][]);
    if (type === 'Set' && Array.isArray(v)) return new Set(v as unknown[]);
    const Type = Object.hasOwn(ARRAYS, type) ? ARRAYS[type as keyof typeof ARRAYS] : undefined;
    if (!Type) throw new RangeError(`the stored session has a value of unknown type ${type.slice(0, 20)}`);
    const bytes = typeof at === 'number' && outside ? outside(at) : Uint8Array.from(Buffer.from(String(v), 'base64'));
    if (bytes.length % Type.BYTES_PER_ELEMENT !== 0) throw new RangeError('the stored session is malformed');
    return new Type(bytes.buffer, bytes.byteOffset, bytes.length / Type.BYTES_PER_ELEMENT);
  });
}
