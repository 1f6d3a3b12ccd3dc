/**
 * Two-byte map 0F: integer and system part (Intel SDM Vol. 2, tables ). Lines as in one-byte.ts.
 * Some choices are AMD's, as measured on silicon: UD0 and UD1 have no ModRM byte, 0F 0D with a register is #UD, LSS, LFS and LGS know no
 * 64-bit offsets.
 */
export const TWO_BYTE = `
  0F.00/0     SLDT        Rv/Mw    umip
  0F.00/1     STR         Rv/Mw    umip
  0F.00/2     LLDT        Ew       cpl0 system
  0F.00/3     LTR         Ew       cpl0 system
  0F.00/4     VERR        Ew
  0F.00/5     VERW        Ew
  0F.01/0     SGDT        Ms       umip
  0F.01/1     SIDT        Ms       umip
  0F.01/2     LGDT        Ms       f64 cpl0 system
  0F.01/3     LIDT        Ms       f64 cpl0 system
  0F.01/4     SMSW        Rv/Mw    umip
  0F.01/6     LMSW        Ew       cpl0 system
  0F.01/7     INVLPG      M        cpl0 system
  0F.np.01=C1 VMCALL      -        system
  0F.np.01=C8 MONITOR     -        cpl0 @monitor
  0F.np.01=C9 MWAIT       -        cpl0 system @monitor
  0F.np.01=CA CLAC        -        cpl0 system @smap
  0F.np.01=CB STAC        -        cpl0 system @smap
  0F.np.01=D0 XGETBV      -        @xsave
  0F.np.01=D1 XSETBV      -        cpl0 system @xsave
  0F.01=D9    VMMCALL     -        system
  0F.01=F8    SWAPGS      -        o64 cpl0 system
  0F.01=F9    RDTSCP      -        tsd @rdtscp
  0F.02       LAR         Gv,Rv/Mw
  0F.03       LSL         Gv,Rv/Mw
  0F.05       SYSCALL     -        system @syscall
  0F.06       CLTS        -        cpl0 system
  0F.07       SYSRET      -        cpl0 system @syscall
  0F.08       INVD        -        cpl0 system
  0F.09       WBINVD      -        cpl0 system
  0F.0B       UD2         -        system
  0F.0Dm      PREFETCH    Mb
  0F.0D/1m    PREFETCHW   Mb
  0F.18       NOP         Ev
  0F.18/0m    PREFETCHNTA Mb
  0F.18/1m    PREFETCHT0  Mb
  0F.18/2m    PREFETCHT1  Mb
  0F.18/3m    PREFETCHT2  Mb
  0F.19       NOP         Ev
  0F.1A       NOP         Ev
  0F.1B       NOP         Ev
  0F.1C       NOP         Ev
  0F.1D       NOP         Ev
  0F.1E       NOP         Ev
  0F.f3.1E=FA ENDBR64     -
  0F.f3.1E=FB ENDBR32     -
  0F.1F       NOP         Ev
  0F.20       MOV         Rn,Cn    cpl0 nomod
  0F.21       MOV         Rn,Dn    cpl0 nomod
  0F.22       MOV         Cn,Rn    cpl0 nomod system
  0F.23       MOV         Dn,Rn    cpl0 nomod system
  0F.30       WRMSR       -        cpl0 system
  0F.31       RDTSC       -        tsd
  0F.32       RDMSR       -        cpl0
  0F.33       RDPMC       -        pce
  0F.34       SYSENTER    -        system @sep
  0F.35       SYSEXIT     -        cpl0 system @sep
  0F.40+cc    CMOV*       Gv,Ev    @cmov
  0F.80+cc    J*          Jz       d64 cond
  0F.90+cc    SET*        Eb
  0F.A0       PUSH        FS       d64
  0F.A1       POP         FS       d64 system
  0F.A2       CPUID       -
  0F.A3       BT          Ev,Gv
  0F.A4       SHLD        Ev,Gv,Ib
  0F.A5       SHLD        Ev,Gv,CL
  0F.A8       PUSH        GS       d64
  0F.A9       POP         GS       d64 system
  0F.AA       RSM         -        system
  0F.AB       BTS         Ev,Gv    lock
  0F.AC       SHRD        Ev,Gv,Ib
  0F.AD       SHRD        Ev,Gv,CL
  0F.np.AE/0m FXSAVE      Mfx      @fxsr
  0F.np.AE/1m FXRSTOR     Mfx      @fxsr
  0F.np.AE/2m LDMXCSR     Md       @sse
  0F.np.AE/3m STMXCSR     Md       @sse
  0F.np.AE/4m XSAVE       Mxs      @xsave
  0F.np.AE/5m XRSTOR      Mxs      @xsave
  0F.np.AE/6m XSAVEOPT    Mxs      @xsaveopt
  0F.np.AE/7m CLFLUSH     Mline    @clflush
  0F.66.AE/6m CLWB        Mline    @clwb
  0F.66.AE/7m CLFLUSHOPT  Mline    @clflushopt
  0F.np.AE/5r LFENCE      -        @sse2
  0F.np.AE/6r MFENCE      -        @sse2
  0F.np.AE/7r SFENCE      -        @sse
  0F.f3.AE/0  RDFSBASE    Ry       o64 @fsgsbase
  0F.f3.AE/1  RDGSBASE    Ry       o64 @fsgsbase
  0F.f3.AE/2  WRFSBASE    Ry       o64 system @fsgsbase
  0F.f3.AE/3  WRGSBASE    Ry       o64 system @fsgsbase
  0F.AF       IMUL        Gv,Ev
  0F.B0       CMPXCHG     Eb,Gb    lock
  0F.B1       CMPXCHG     Ev,Gv    lock
  0F.B2       LSS         Gv,Mp    now system
  0F.B3       BTR         Ev,Gv    lock
  0F.B4       LFS         Gv,Mp    now system
  0F.B5       LGS         Gv,Mp    now system
  0F.B6       MOVZX       Gv,Eb
  0F.B7       MOVZX       Gv,Ew
  0F.f3.B8    POPCNT      Gv,Ev    @popcnt
  0F.B9       UD1         -        system
  0F.BA/4     BT          Ev,Ib
  0F.BA/5     BTS         Ev,Ib    lock
  0F.BA/6     BTR         Ev,Ib    lock
  0F.BA/7     BTC         Ev,Ib    lock
  0F.BB       BTC         Ev,Gv    lock
  0F.BC       BSF         Gv,Ev
  0F.f3.BC    TZCNT       Gv,Ev    @bmi1
  0F.BD       BSR         Gv,Ev
  0F.f3.BD    LZCNT       Gv,Ev    @lzcnt
  0F.BE       MOVSX       Gv,Eb
  0F.BF       MOVSX       Gv,Ew
  0F.C0       XADD        Eb,Gb    lock
  0F.C1       XADD        Ev,Gv    lock
  0F.np.C3    MOVNTI      My,Gy    @sse2
  0F.W0.C7/1m CMPXCHG8B   Mq       lock @cx8
  0F.W1.C7/1m CMPXCHG16B  Mdq      lock @cx16
  0F.np.C7/3m XRSTORS     Mxs      cpl0 @xsaves
  0F.np.C7/4m XSAVEC      Mxs      @xsavec
  0F.np.C7/5m XSAVES      Mxs      cpl0 @xsaves
  0F.np.C7/6r RDRAND      Rv       @rdrand
  0F.66.C7/6r RDRAND      Rv       @rdrand
  0F.np.C7/7r RDSEED      Rv       @rdseed
  0F.66.C7/7r RDSEED      Rv       @rdseed
  0F.f3.C7/7r RDPID       Rn       @rdpid
  0F.C8+r     BSWAP       Zv
  0F.FF       UD0         -        system
`;

/** Integer and system instructions of the three-byte maps and of the VEX maps (BMI1, BMI2, ADX, MOVBE, CRC32). */
export const THREE_BYTE = `
  0F38.66.82       INVPCID  Gn,Mdq     cpl0 system @invpcid
  0F38.np.F0       MOVBE    Gv,Mv      @movbe
  0F38.66.F0       MOVBE    Gv,Mv      @movbe
  0F38.np.F1       MOVBE    Mv,Gv      @movbe
  0F38.66.F1       MOVBE    Mv,Gv      @movbe
  0F38.f2.F0       CRC32    Gy,Eb      @sse4.2
  0F38.f2.F1       CRC32    Gy,Ev      @sse4.2
  0F38.66.F6       ADCX     Gy,Ey      @adx
  0F38.f3.F6       ADOX     Gy,Ey      @adx
  V0F38.L0.np.F2   ANDN     Gy,By,Ey   @bmi1
  V0F38.L0.np.F3/1 BLSR     By,Ey      @bmi1
  V0F38.L0.np.F3/2 BLSMSK   By,Ey      @bmi1
  V0F38.L0.np.F3/3 BLSI     By,Ey      @bmi1
  V0F38.L0.np.F5   BZHI     Gy,Ey,By   @bmi2
  V0F38.L0.f3.F5   PEXT     Gy,By,Ey   @bmi2
  V0F38.L0.f2.F5   PDEP     Gy,By,Ey   @bmi2
  V0F38.L0.f2.F6   MULX     Gy,By,Ey   @bmi2
  V0F38.L0.np.F7   BEXTR    Gy,Ey,By   @bmi1
  V0F38.L0.66.F7   SHLX     Gy,Ey,By   @bmi2
  V0F38.L0.f3.F7   SARX     Gy,Ey,By   @bmi2
  V0F38.L0.f2.F7   SHRX     Gy,Ey,By   @bmi2
  V0F3A.L0.f2.F0   RORX     Gy,Ey,Ib   @bmi2
`;
