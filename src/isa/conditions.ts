/** The sixteen condition codes in encoding order (Intel SDM Vol. 1, appendix B), as mnemonic suffixes. */
export const CONDITIONS = [
  'O',
  'NO',
  'B',
  'NB',
  'Z',
  'NZ',
  'BE',
  'NBE',
  'S',
  'NS',
  'P',
  'NP',
  'L',
  'NL',
  'LE',
  'NLE',
] as const;

/** Flags each pair of conditions tests, by condition code >> 1, in the letters of flags.ts. */
export const CONDITION_FLAGS = ['O', 'C', 'Z', 'CZ', 'S', 'P', 'SO', 'ZSO'] as const;
