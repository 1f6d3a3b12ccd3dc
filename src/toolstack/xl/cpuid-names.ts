/**
 * The names that xl's `cpuid` option knows, xl.cfg(5) of Xen 4.17, and where their bits are.
 */
export type CpuidRegister = 'eax' | 'ebx' | 'ecx' | 'edx';

/** Bits `bit` to `bit + length - 1` of one register of a leaf; `subleaf` only for leaves that have some. */
export interface CpuidField {
  readonly leaf: number;
  readonly subleaf?: number;
  readonly register: CpuidRegister;
  readonly bit: number;
  readonly length: number;
}

/** leaf[,subleaf] register: the names of bits 0, 1, …; `-` for those without; `a|b` for two names of one. */
const WORDS = `
1 ecx: sse3 pclmulqdq dtes64 monitor dscpl vmx smx est tm2 ssse3 cntxid - fma cmpxchg16 xtpr pdcm - pcid dca sse4_1|sse4.1
  sse4_2|sse4.2 x2apic movbe popcnt tsc-deadline aes xsave osxsave avx f16c rdrand hypervisor
1 edx: fpu vme de pse tsc msr pae mce cmpxchg8 apic - sysenter mtrr pge mca cmov pat pse36 psn clfsh - ds acpi mmx fxsr sse
  sse2 ss htt tm ia64 pbe
6 eax: - - arat
7,0 ebx: fsgsbase tsc_adjust - bmi1 hle avx2 - smep bmi2 erms invpcid rtm cmt - mpx - avx512f avx512dq rdseed adx smap
  avx512-ifma - clflushopt clwb proc-trace avx512pf avx512er avx512cd sha avx512bw avx512vl
7,0 ecx: prefetchwt1 avx512-vbmi umip pku ospke - avx512-vbmi2 cet-ss gfni vaes vpclmulqdq avx512-vnni avx512-bitalg -
  avx512-vpopcntdq - - - - - - - rdpid - - cldemote - - - - - pks
7,0 edx: - - avx512-4vnniw avx512-4fmaps fsrm - - - avx512-vp2intersect srbds-ctrl md-clear - - - serialize - tsxldtrk - - -
  cet-ibt - - avx512-fp16 - - ibrsb stibp l1d-flush arch-caps core-caps ssbd
7,1 eax: - - - - avx-vnni avx512-bf16 - - - - fzrm fsrs fsrcs - - - - - - wrmsrns
7,1 edx: - - - - - - - - - - - - - - - - - - cet-sss
7,2 edx: intel-psfd - - - - mcdt-no
0x80000001 ecx: lahfsahf cmplegacy svm extapic altmovcr8 abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp
  fma4 - - nodeid - tbm topoext perfctr_core perfctr_nb
0x80000001 edx: - - - - - - - - - - - syscall - - - - - - - - nx - mmxext - - ffxsr page1gb rdtscp - lm 3dnowext 3dnow
0x80000007 edx: - - - - - - - - invtsc
0x80000008 ebx: clzero - rstr-fp-err-ptrs - - - - - - wbnoinvd - - ibpb - ibrs amd-stibp ibrs-always stibp-always ibrs-fast
  ibrs-same-mode no-lmsl - - ppin amd-ssbd virt-ssbd ssb-no - psfd btc-no ibpb-ret
0x8000000a edx: svm_npt svm_lbrv - svm_nrips svm_tscrate svm_vmcbclean - svm_decode - - svm_pausefilt
0x80000021 eax: - - lfence+ - - - nscb
`;

/** Names with a number for a value. Family and model stand in two places of their register each (see cpuid.ts). */
const NUMBERS: Readonly<Record<string, CpuidField>> = {
  maxleaf: { leaf: 0, register: 'eax', bit: 0, length: 32 },
  stepping: { leaf: 1, register: 'eax', bit: 0, length: 4 },
  model: { leaf: 1, register: 'eax', bit: 4, length: 8 },
  family: { leaf: 1, register: 'eax', bit: 8, length: 8 },
  brandid: { leaf: 1, register: 'ebx', bit: 0, length: 8 },
  clflush: { leaf: 1, register: 'ebx', bit: 8, length: 8 },
  proccount: { leaf: 1, register: 'ebx', bit: 16, length: 8 },
  localapicid: { leaf: 1, register: 'ebx', bit: 24, length: 8 },
  procpkg: { leaf: 4, subleaf: 0, register: 'eax', bit: 26, length: 6 },
  maxhvleaf: { leaf: 0x40000000, register: 'eax', bit: 0, length: 8 },
  nc: { leaf: 0x80000008, register: 'ecx', bit: 0, length: 8 },
  apicidsize: { leaf: 0x80000008, register: 'ecx', bit: 12, length: 4 },
};

function* wordNames(): Generator<[string, CpuidField]> {
  const words = WORDS.trim()
    .replace(/\n {2}/g, ' ')
    .split('\n');
  for (const word of words) {
    const [, leaf, subleaf, register, names] = /^(\w+)(?:,(\d))? (e[abcd]x): (.*)$/.exec(word)!;
    for (const [bit, both] of names!.split(' ').entries()) {
      for (const name of both === '-' ? [] : both.split('|')) {
        const at = { leaf: Number(leaf), register: register as CpuidRegister, bit, length: 1 };
        yield [name, subleaf === undefined ? at : { ...at, subleaf: Number(subleaf) }];
      }
    }
  }
}

/** Every name that libxl's format takes. */
export const CPUID_NAMES: ReadonlyMap<string, CpuidField> = new Map([...Object.entries(NUMBERS), ...wordNames()]);
