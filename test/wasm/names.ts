/** Reads a module's `name` section back, apart from the emitter (specification appendix, custom sections). */
export interface Names {
  readonly functions: Record<number, string>;
  readonly locals: Record<number, Record<number, string>>;
  readonly globals: Record<number, string>;
}

export function readNames(bytes: Uint8Array<ArrayBuffer>): Names {
  const [section] = WebAssembly.Module.customSections(new WebAssembly.Module(bytes), 'name');
  if (section === undefined) throw new Error('there is no name section');
  const view = new Uint8Array(section);
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = view[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  const text = (): string => {
    const length = number();
    at += length;
    return new TextDecoder('utf-8', { fatal: true }).decode(view.subarray(at - length, at));
  };
  const map = <V>(read: () => V): Record<number, V> => {
    const found: Record<number, V> = {};
    let last = -1;
    for (let left = number(); left > 0; left--) {
      const index = number();
      if (index <= last) throw new Error('indices of a name map must ascend');
      last = index;
      found[index] = read();
    }
    return found;
  };
  const names = { functions: {}, locals: {}, globals: {} } as { -readonly [K in keyof Names]: Names[K] };
  while (at < view.length) {
    const id = view[at++];
    const size = number();
    const end = at + size;
    if (id === 1) names.functions = map(text);
    else if (id === 2) names.locals = map(() => map(text));
    else if (id === 7) names.globals = map(text);
    else throw new Error(`unknown subsection ${id}`);
    if (at !== end) throw new Error(`subsection ${id} ends at ${at}, not ${end}`);
  }
  return names;
}
