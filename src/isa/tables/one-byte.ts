/**
 * One-byte opcode map (Intel SDM Vol. 2, tables ), x87 escapes apart.
 * F2 and F3 before E0 and E1 say which of LOOPNZ and LOOPZ it is (measured on AMD's).
 * Line: selector, mnemonic, operands (or -), attributes. parse.ts says what each word means.
 */
const ARITHMETIC = ['ADD', 'OR', 'ADC', 'SBB', 'AND', 'SUB', 'XOR', 'CMP'];
const SHIFTS = ['ROL', 'ROR', 'RCL', 'RCR', 'SHL', 'SHR', 'SHL', 'SAR'];

function arithmetic(name: string, n: number): string {
  const op = (low: number) => (n * 8 + low).toString(16).padStart(2, '0');
  const lock = name === 'CMP' ? '' : 'lock';
  return `
    ${op(0)}   ${name} Eb,Gb ${lock}
    ${op(1)}   ${name} Ev,Gv ${lock}
    ${op(2)}   ${name} Gb,Eb
    ${op(3)}   ${name} Gv,Ev
    ${op(4)}   ${name} AL,Ib
    ${op(5)}   ${name} rAX,Iz
    80/${n}    ${name} Eb,Ib ${lock}
    81/${n}    ${name} Ev,Iz ${lock}
    82/${n}    ${name} Eb,Ib ${lock} i64
    83/${n}    ${name} Ev,Ibs ${lock}`;
}

function shift(name: string, n: number): string {
  return `
    C0/${n} ${name} Eb,Ib
    C1/${n} ${name} Ev,Ib
    D0/${n} ${name} Eb,1
    D1/${n} ${name} Ev,1
    D2/${n} ${name} Eb,CL
    D3/${n} ${name} Ev,CL`;
}

export const ONE_BYTE = `
${ARITHMETIC.map(arithmetic).join('')}
${SHIFTS.map(shift).join('')}
  06    PUSH    ES        i64
  07    POP     ES        i64 system
  0E    PUSH    CS        i64
  16    PUSH    SS        i64
  17    POP     SS        i64 system
  1E    PUSH    DS        i64
  1F    POP     DS        i64 system
  27    DAA     -         i64
  2F    DAS     -         i64
  37    AAA     -         i64
  3F    AAS     -         i64
  40+r  INC     Zv        i64
  48+r  DEC     Zv        i64
  50+r  PUSH    Zv        d64
  58+r  POP     Zv        d64
  60    PUSHA   -         i64
  61    POPA    -         i64
  62    BOUND   Gv,Ma     i64
  63    ARPL    Ew,Gw     i64
  63    MOVSXD  Gv,Ez     o64
  68    PUSH    Iz        d64
  69    IMUL    Gv,Ev,Iz
  6A    PUSH    Ibs       d64
  6B    IMUL    Gv,Ev,Ibs
  6C    INS     Yb,DX     rep io system
  6D    INS     Yz,DX     rep io system
  6E    OUTS    DX,Xb     rep io system
  6F    OUTS    DX,Xz     rep io system
  70+cc J*      Jb       d64 cond
  84    TEST    Eb,Gb
  85    TEST    Ev,Gv
  86    XCHG    Eb,Gb     lock
  87    XCHG    Ev,Gv     lock
  88    MOV     Eb,Gb
  89    MOV     Ev,Gv
  8A    MOV     Gb,Eb
  8B    MOV     Gv,Ev
  8C    MOV     Rv/Mw,Sw
  8D    LEA     Gv,M
  8E    MOV     Sw,Rv/Mw  system
  8F/0  POP     Ev        d64
  90    NOP     -
  f3.90 PAUSE   -
  91+r7 XCHG    Zv,rAX
  98    CBW     -
  99    CWD     -
  9A    CALLF   Ap        i64 call
  9B    FWAIT   -         @x87
  9C    PUSHF   -         d64 iopl
  9D    POPF    -         d64 iopl system
  9E    SAHF    -
  9F    LAHF    -
  A0    MOV     AL,Ob
  A1    MOV     rAX,Ov
  A2    MOV     Ob,AL
  A3    MOV     Ov,rAX
  A4    MOVS    Yb,Xb     rep
  A5    MOVS    Yv,Xv     rep
  A6    CMPS    Xb,Yb     repz
  A7    CMPS    Xv,Yv     repz
  A8    TEST    AL,Ib
  A9    TEST    rAX,Iz
  AA    STOS    Yb,AL     rep
  AB    STOS    Yv,rAX    rep
  AC    LODS    AL,Xb     rep
  AD    LODS    rAX,Xv    rep
  AE    SCAS    AL,Yb     repz
  AF    SCAS    rAX,Yv    repz
  B0+r  MOV     Zb,Ib
  B8+r  MOV     Zv,Iv
  C2    RET     Iw        d64 ret
  C3    RET     -         d64 ret
  C4    LES     Gz,Mp     i64 system
  C5    LDS     Gz,Mp     i64 system
  C6/0  MOV     Eb,Ib
  C7/0  MOV     Ev,Iz
  C8    ENTER   Iw,Ib     d64
  C9    LEAVE   -         d64
  CA    RETF    Iw        ret
  CB    RETF    -         ret
  CC    INT3    -         system
  CD    INT     Ib        system
  CE    INTO    -         i64 system
  CF    IRET    -         iopl ret
  D4    AAM     Ib        i64
  D5    AAD     Ib        i64
  D6    SALC    -         i64
  D7    XLAT    -         byte
  E0    LOOPNZ  Jb       d64 cond
  E1    LOOPZ   Jb       d64 cond
  f3.E0 LOOPZ   Jb       d64 cond
  f2.E1 LOOPNZ  Jb       d64 cond
  E2    LOOP    Jb       d64 cond
  E3    JCXZ    Jb       d64 cond
  E4    IN      AL,Ib     io system
  E5    IN      eAX,Ib    io system
  E6    OUT     Ib,AL     io system
  E7    OUT     Ib,eAX    io system
  E8    CALL    Jz        d64 call
  E9    JMP     Jz        d64 jump
  EA    JMPF    Ap        i64 jump
  EB    JMP     Jb       d64 jump
  EC    IN      AL,DX     io system
  ED    IN      eAX,DX    io system
  EE    OUT     DX,AL     io system
  EF    OUT     DX,eAX    io system
  F1    INT1    -         system
  F4    HLT     -         cpl0 system
  F5    CMC     -
  F6/0  TEST    Eb,Ib
  F6/1  TEST    Eb,Ib
  F6/2  NOT     Eb        lock
  F6/3  NEG     Eb        lock
  F6/4  MUL     Eb
  F6/5  IMUL    Eb
  F6/6  DIV     Eb
  F6/7  IDIV    Eb
  F7/0  TEST    Ev,Iz
  F7/1  TEST    Ev,Iz
  F7/2  NOT     Ev        lock
  F7/3  NEG     Ev        lock
  F7/4  MUL     Ev
  F7/5  IMUL    Ev
  F7/6  DIV     Ev
  F7/7  IDIV    Ev
  F8    CLC     -
  F9    STC     -
  FA    CLI     -         iopl system
  FB    STI     -         iopl system
  FC    CLD     -
  FD    STD     -
  FE/0  INC     Eb        lock
  FE/1  DEC     Eb        lock
  FF/0  INC     Ev        lock
  FF/1  DEC     Ev        lock
  FF/2  CALL    Ev        d64 call
  FF/3  CALLF   Mp        now call
  FF/4  JMP     Ev        d64 jump
  FF/5  JMPF    Mp        now jump
  FF/6  PUSH    Ev        d64
`;
