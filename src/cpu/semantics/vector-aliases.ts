/**
 * Instructions that do the same under several names: floating-point and integer forms of moves, logic and interleavings
 * differ only in what a processor's pipelines make of them. One handler serves each group.
 */
const GROUPS: Readonly<Record<string, string>> = {
  MOVUPS: 'MOVUPD MOVDQU LDDQU',
  MOVAPS: 'MOVAPD MOVDQA MOVNTPS MOVNTPD MOVNTDQ MOVNTDQA',
  MOVLPS: 'MOVLPD',
  MOVHPS: 'MOVHPD',
  PAND: 'ANDPS ANDPD',
  PANDN: 'ANDNPS ANDNPD',
  POR: 'ORPS ORPD',
  PXOR: 'XORPS XORPD',
  PUNPCKLDQ: 'UNPCKLPS',
  PUNPCKLQDQ: 'UNPCKLPD',
  PUNPCKHDQ: 'UNPCKHPS',
  PUNPCKHQDQ: 'UNPCKHPD',
};

const ALIASES: ReadonlyMap<string, string> = new Map(
  Object.entries(GROUPS).flatMap(([name, others]) =>
    others.split(' ').flatMap((other): [string, string][] => [
      [other, name],
      [`V${other}`, `V${name}`],
    ]),
  ),
);

/** The mnemonic under which the meaning of `mnemonic` is found. */
export const meaningName = (mnemonic: string): string => ALIASES.get(mnemonic) ?? mnemonic;
