/**
 * x87 escapes D8 to DF (Intel SDM Vol. 2, tables ), with the aliases that processors have but manuals
 * do not list. `T` is ST(i) of ModRM.rm. Lines as in one-byte.ts.
 */
const ARITHMETIC = ['FADD', 'FMUL', 'FCOM', 'FCOMP', 'FSUB', 'FSUBR', 'FDIV', 'FDIVR'];
const CONSTANTS = ['FLD1', 'FLDL2T', 'FLDL2E', 'FLDPI', 'FLDLG2', 'FLDLN2', 'FLDZ'];
const FUNCTIONS = [
  'F2XM1',
  'FYL2X',
  'FPTAN',
  'FPATAN',
  'FXTRACT',
  'FPREM1',
  'FDECSTP',
  'FINCSTP',
  'FPREM',
  'FYL2XP1',
  'FSQRT',
  'FSINCOS',
  'FRNDINT',
  'FSCALE',
  'FSIN',
  'FCOS',
];

const hex = (n: number) => n.toString(16).toUpperCase();
const noOperands = (name: string, modrm: number) => `D9=${hex(modrm)} ${name} - @x87\n`;

function arithmetic(name: string, n: number): string {
  const integer = name.replace('F', 'FI');
  return `
  D8/${n}m ${name} Md @x87
  D8/${n}r ${name} ST,T @x87
  DC/${n}m ${name} Mq @x87
  DA/${n}m ${integer} Md @x87
  DE/${n}m ${integer} Mw @x87`;
}

export const X87 = `
${ARITHMETIC.map(arithmetic).join('')}
${CONSTANTS.map((name, i) => noOperands(name, 0xe8 + i)).join('')}
${FUNCTIONS.map((name, i) => noOperands(name, 0xf0 + i)).join('')}
  D9/0m  FLD      Md      @x87
  D9/2m  FST      Md      @x87
  D9/3m  FSTP     Md      @x87
  D9/4m  FLDENV   Menv    @x87
  D9/5m  FLDCW    Mw      @x87
  D9/6m  FNSTENV  Menv    @x87
  D9/7m  FNSTCW   Mw      @x87
  D9/0r  FLD      T       @x87
  D9/1r  FXCH     ST,T    @x87
  D9=D0  FNOP     -       @x87
  D9/3r  FSTP     T       @x87
  D9=E0  FCHS     -       @x87
  D9=E1  FABS     -       @x87
  D9=E4  FTST     -       @x87
  D9=E5  FXAM     -       @x87
  DA/0r  FCMOVB   ST,T    @x87
  DA/1r  FCMOVE   ST,T    @x87
  DA/2r  FCMOVBE  ST,T    @x87
  DA/3r  FCMOVU   ST,T    @x87
  DA=E9  FUCOMPP  -       @x87
  DB/0m  FILD     Md      @x87
  DB/1m  FISTTP   Md      @sse3
  DB/2m  FIST     Md      @x87
  DB/3m  FISTP    Md      @x87
  DB/5m  FLD      Mt      @x87
  DB/7m  FSTP     Mt      @x87
  DB/0r  FCMOVNB  ST,T    @x87
  DB/1r  FCMOVNE  ST,T    @x87
  DB/2r  FCMOVNBE ST,T    @x87
  DB/3r  FCMOVNU  ST,T    @x87
  DB=E0  FNENI    -       @x87
  DB=E1  FNDISI   -       @x87
  DB=E2  FNCLEX   -       @x87
  DB=E3  FNINIT   -       @x87
  DB=E4  FNSETPM  -       @x87
  DB/5r  FUCOMI   ST,T    @x87
  DB/6r  FCOMI    ST,T    @x87
  DC/0r  FADD     T,ST    @x87
  DC/1r  FMUL     T,ST    @x87
  DC/2r  FCOM     ST,T    @x87
  DC/3r  FCOMP    ST,T    @x87
  DC/4r  FSUBR    T,ST    @x87
  DC/5r  FSUB     T,ST    @x87
  DC/6r  FDIVR    T,ST    @x87
  DC/7r  FDIV     T,ST    @x87
  DD/0m  FLD      Mq      @x87
  DD/1m  FISTTP   Mq      @sse3
  DD/2m  FST      Mq      @x87
  DD/3m  FSTP     Mq      @x87
  DD/4m  FRSTOR   Msave   @x87
  DD/6m  FNSAVE   Msave   @x87
  DD/7m  FNSTSW   Mw      @x87
  DD/0r  FFREE    T       @x87
  DD/1r  FXCH     ST,T    @x87
  DD/2r  FST      T       @x87
  DD/3r  FSTP     T       @x87
  DD/4r  FUCOM    ST,T    @x87
  DD/5r  FUCOMP   ST,T    @x87
  DE/0r  FADDP    T,ST    @x87
  DE/1r  FMULP    T,ST    @x87
  DE/2r  FCOMP    ST,T    @x87
  DE=D9  FCOMPP   -       @x87
  DE/4r  FSUBRP   T,ST    @x87
  DE/5r  FSUBP    T,ST    @x87
  DE/6r  FDIVRP   T,ST    @x87
  DE/7r  FDIVP    T,ST    @x87
  DF/0m  FILD     Mw      @x87
  DF/1m  FISTTP   Mw      @sse3
  DF/2m  FIST     Mw      @x87
  DF/3m  FISTP    Mw      @x87
  DF/4m  FBLD     Mt      @x87
  DF/5m  FILD     Mq      @x87
  DF/6m  FBSTP    Mt      @x87
  DF/7m  FISTP    Mq      @x87
  DF/0r  FFREEP   T       @x87
  DF/1r  FXCH     ST,T    @x87
  DF/2r  FSTP     T       @x87
  DF/3r  FSTP     T       @x87
  DF=E0  FNSTSW   AX      @x87
  DF/5r  FUCOMIP  ST,T    @x87
  DF/6r  FCOMIP   ST,T    @x87
`;
