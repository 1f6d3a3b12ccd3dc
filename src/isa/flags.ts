/**
 * What each mnemonic does to the arithmetic and control flags (Intel SDM Vol. 1, appendix A, and the instruction pages).
 *
 *   line:  MNEMONIC... : t=tested m=modified u=undefined c=cleared s=set        letters: O S Z A P C, D, I, T, N(T), R(F),
 *                                                                               Q(AC), L(IOPL), V(IF etc. by POPF)
 *
 * Shifts and rotates list the effect of a count that is not zero; a masked count of zero changes nothing, and the
 * overflow flag is defined only for a count of one. Vector compares that write EFLAGS are here, too.
 */
import { CONDITION_FLAGS } from './conditions.ts';
import type { FlagEffects } from './row.ts';

/*
 *   21 20  19  18 17 16  15 14 13 12  11 10  9  8  7  6  5  4  3  2  1  0
 *   ID VIP VIF AC VM RF  0  NT [IOPL] OF DF IF TF SF ZF  0 AF  0 PF  1 CF
 */
export const CF = 0x1;
export const PF = 0x4;
export const AF = 0x10;
export const ZF = 0x40;
export const SF = 0x80;
export const TF = 0x100;
export const IF = 0x200;
export const DF = 0x400;
export const OF = 0x800;
export const IOPL = 0x3000;
export const NT = 0x4000;
export const RF = 0x10000;
export const VM = 0x20000;
export const AC = 0x40000;
export const VIF = 0x80000;
export const VIP = 0x100000;
export const ID = 0x200000;

/** The six status flags. */
export const STATUS_FLAGS = OF | SF | ZF | AF | PF | CF;

const LETTERS: Readonly<Record<string, number>> = {
  O: OF,
  S: SF,
  Z: ZF,
  A: AF,
  P: PF,
  C: CF,
  D: DF,
  I: IF,
  T: TF,
  N: NT,
  R: RF,
  Q: AC,
  L: IOPL,
  V: VIF | VIP | ID,
};

const EFFECTS = `
  ADD SUB CMP NEG CMPXCHG XADD : m=OSZAPC
  ADC SBB : t=C m=OSZAPC
  AND OR XOR TEST : m=SZP u=A c=OC
  INC DEC : m=OSZAP
  MUL IMUL : m=OC u=SZAP
  DIV IDIV : u=OSZAPC
  AAA AAS : t=A m=AC u=OSZP
  DAA DAS : t=AC m=SZAPC u=O
  AAM AAD : m=SZP u=OAC
  ROL ROR : m=OC
  RCL RCR : t=C m=OC
  SHL SHR SAR : m=OSZPC u=A
  SHLD SHRD : m=OSZPC u=A
  BT BTS BTR BTC : m=C u=OSAP
  BSF BSR : m=Z u=OSAPC
  TZCNT LZCNT : m=ZC u=OSAP
  POPCNT : m=Z c=OSAPC
  ANDN : m=SZ u=AP c=OC
  BEXTR : m=Z u=SAP c=OC
  BLSR BLSI : m=SZC u=AP c=O
  BLSMSK : m=SC u=AP c=ZO
  BZHI : m=SZC u=AP c=O
  ADCX : t=C m=C
  ADOX : t=O m=O
  CMPXCHG8B CMPXCHG16B : m=Z
  CMPS SCAS : t=D m=OSZAPC
  MOVS STOS LODS INS OUTS : t=D
  CLC : c=C
  STC : s=C
  CMC : t=C m=C
  CLD : c=D
  STD : s=D
  CLI : m=I
  STI : m=I
  CLAC : c=Q
  STAC : s=Q
  SAHF : m=SZAPC
  LAHF : t=SZAPC
  SALC : t=C
  PUSHF : t=OSZAPCDITNRQLV
  POPF IRET SYSRET : m=OSZAPCDITNRQLV
  SYSCALL : t=OSZAPCDITNRQLV m=OSZAPCDITNRQLV
  SYSENTER : m=IRV
  INT INT3 INT1 INTO : t=OSZAPCDITNRQLV m=ITNR
  LOOPZ LOOPNZ : t=Z
  LAR LSL VERR VERW ARPL : m=Z
  RDRAND RDSEED : m=C c=OSZAP
  COMISS COMISD UCOMISS UCOMISD VCOMISS VCOMISD VUCOMISS VUCOMISD : m=ZPC c=OSA
  FCOMI FCOMIP FUCOMI FUCOMIP : m=ZPC c=OSA
  FCMOVB FCMOVNB : t=C
  FCMOVE FCMOVNE : t=Z
  FCMOVBE FCMOVNBE : t=CZ
  FCMOVU FCMOVNU : t=P
  PTEST VPTEST : m=ZC c=OSAP
  VTESTPS VTESTPD : m=ZC c=OSAP
  PCMPESTRI PCMPESTRM PCMPISTRI PCMPISTRM : m=OSZC c=AP
  VPCMPESTRI VPCMPESTRM VPCMPISTRI VPCMPISTRM : m=OSZC c=AP
`;

function mask(letters: string): number {
  let bits = 0;
  for (const letter of letters) {
    const bit = LETTERS[letter];
    if (bit === undefined) throw new Error(`flag table: unknown flag "${letter}"`);
    bits |= bit;
  }
  return bits;
}

const NONE: FlagEffects = { tested: 0, modified: 0, undefined: 0, cleared: 0, set: 0 };

function parseEffects(): Map<string, FlagEffects> {
  const effects = new Map<string, FlagEffects>();
  for (const line of EFFECTS.trim().split('\n')) {
    const [names, rules] = line.split(':') as [string, string];
    const part = (key: string) => mask(new RegExp(`${key}=(\\w+)`).exec(rules)?.[1] ?? '');
    const effect = { tested: part('t'), modified: part('m'), undefined: part('u'), cleared: part('c'), set: part('s') };
    for (const name of names.trim().split(/\s+/)) effects.set(name, effect);
  }
  return effects;
}

const BY_MNEMONIC = parseEffects();
const BY_CONDITION: readonly FlagEffects[] = CONDITION_FLAGS.map((letters) => ({ ...NONE, tested: mask(letters) }));

/** Effects of a mnemonic. `condition` is 0 to 15 for Jcc, SETcc and CMOVcc, -1 for all others. */
export function flagEffects(mnemonic: string, condition: number): FlagEffects {
  if (condition >= 0) return BY_CONDITION[condition >> 1]!;
  return BY_MNEMONIC.get(mnemonic) ?? NONE;
}
