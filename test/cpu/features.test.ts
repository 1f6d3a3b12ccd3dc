/**
 * CPUID tells the truth, both ways: for each feature bit an instruction that works where the bit is offered, and is refused where
 * it is not and a real processor under Xen could refuse it. Instructions alone: what paging bits do is in test/guests/system-paging.c.
 */
import { describe, expect, test } from 'vitest';
import { cpuid } from '../../src/hypervisor/hvm/cpuid.ts';
import { cpuidPolicy } from '../../src/hypervisor/hvm/cpuid-policy.ts';
import { cpuidOverrides } from '../../src/toolstack/xl/cpuid.ts';
import { CPUID_NAMES } from '../../src/toolstack/xl/cpuid-names.ts';
import { machineWith, run } from './long-machine.ts';

/** Offered: name and machine code, 64-bit mode at CPL 0, RSI = RDI = RBX = a page of zeros. */
const OFFERED = `
fpu d9e8                   cmpxchg8 0fc70e        tsc 0f31                   msr b9100000000f32      sysenter b9740100000f32
mtrr b9fe0000000f32        pat b9770200000f32     cmov 0f44c3                clfsh 0fae3e            mmx 0ffcc1
fxsr 0fae06                sse 0f58c1             sse2 660f58c1              sse3 f20f12c1           pclmulqdq 660f3a44c100
ssse3 660f3800c1           fma c4e2f5b8c2         cmpxchg16 480fc70e         sse4_1 660f3840c1       sse4_2 660f3837c1
movbe 0f38f006             popcnt f30fb8c3        aes 660f38dcc1             xsave 31c90f01d0        avx c5f558c2
f16c c4e27d13c1            fsgsbase f3480faec0    bmi1 c4e260f2c2            avx2 c5f5fec2           bmi2 c4e263f5c2
erms b9100000004889f7f3a4  adx 660f38f6c3         invpcid b802000000660f388206                       smap 0f01ca
clflushopt 660fae3e        clwb 660fae36          sha 0f38cbca               gfni 660f38cfc1         vaes c4e275dcc2
vpclmulqdq c4e37544c200    rdpid f30fc7f8         avx-vnni c4e27550c2        lahfsahf 9f             abm f30fbdc3
3dnowprefetch 0f0d0e       mmxext 0f70c100        rdtscp 0f01f9              lfence+ 0faee8
de 0f21f8                  syscall 0f05           nx b9800000c00f32          lm b9800000c00f32
`;

/** Bits without an instruction of their own: paging and CR4 (test/guests/system-*.c), the platform (test/hypervisor). */
const elsewhere = 'vme pse pae mce pge pse36 pcid smep umip page1gb apic x2apic mca htt hypervisor invtsc'.split(' ');

/** Not offered. (Hints that are NOPs where they are not known do execute.) */
const ABSENT = `
vmx f30fc736        svm 0f01d8            avx512f 62f1f54858c2   avx512vl 62f2f52936c2
pku 31c90f01ee      rtm 0f01d5            sse4a 660f79c1   3dnow 0f0fc19e         xop 8fe870a2c230
fma4 c4e3f169c320   tbm 8fe97801cb        lwp 8fe9f812c0   serialize 0f01e8       clzero 0f01fc
rdseed 0fc7f8       rdrand 0fc7f0         monitor 4889f031c931d20f01c8
skinit 0f01de       smx 0f37
`;

const words = (table: string): [string, Buffer][] =>
  [...table.matchAll(/(\S+) ([0-9a-f]+)\b/g)].map((m) => [m[1]!, Buffer.from(m[2]!, 'hex')]);

const UD = 'exception 6 -1';
const GP = 'exception 13 0';
const masked = (names: string) =>
  cpuidPolicy(
    cpuidOverrides([`host,${names}`], (what) => {
      throw new Error(what);
    }),
  );
const shows = (policy: ReturnType<typeof cpuidPolicy>, name: string): boolean => {
  const out = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const { leaf, subleaf = 0, register, bit } = CPUID_NAMES.get(name)!;
  cpuid(leaf, subleaf, { vcpuId: 0, domainId: 1, policy, osxsave: false, tscOffset: 0n }, out);
  return ((out[register] >>> bit) & 1) === 1;
};

describe('what CPUID offers', () => {
  test.each(words(OFFERED))('%s works', (name, code) => {
    const policy = cpuidPolicy();
    expect(shows(policy, name)).toBe(true);
    expect(run(machineWith(policy), code)).toEqual([]);
  });

  test('XSAVEOPT, XSAVEC and XGETBV with ECX = 1 work, XSAVES does not', () => {
    const policy = cpuidPolicy();
    const code = (hex: string) => Buffer.from(hex, 'hex');
    for (const hex of ['b8070000000fae36', 'b8070000000fc726', 'b9010000000f01d0'])
      expect(run(machineWith(policy), code(hex))).toEqual([]);
    expect(run(machineWith(policy), code('0fc72e'))[0]).toBe(UD);
    expect(run(machineWith(policy), code('b9020000000f01d0'))[0]).toBe(GP);
  });

  test('every bit is in the tables, or named with the place of its test', () => {
    const policy = cpuidPolicy();
    const tested = new Set([...words(OFFERED).map(([name]) => name), ...elsewhere, 'sse4.1', 'sse4.2']);
    const offered = [...CPUID_NAMES].filter(([, f]) => f.length === 1).map(([name]) => name);
    expect(offered.filter((name) => shows(policy, name) && !tested.has(name))).toEqual([]);
    expect(elsewhere.filter((name) => !shows(policy, name))).toEqual([]);
  });
});

describe('what CPUID does not offer', () => {
  test.each(words(ABSENT))('%s is #UD', (name, code) => {
    const policy = cpuidPolicy();
    expect(shows(policy, name)).toBe(false);
    expect(run(machineWith(policy), code)[0]).toBe(UD);
  });

  test.each([
    ['xsave', 'xsave', '31c90f01d0', UD],
    ['xsave', 'avx', 'c5f558c2', UD],
    ['avx', 'avx', 'c5f558c2', UD],
    ['avx', 'avx2', 'c5f5fec2', UD],
    ['avx', 'fma', 'c4e2f5b8c2', UD],
    ['avx', 'vaes', 'c4e275dcc2', UD],
    ['avx', 'VLDMXCSR', 'c5f8ae16', UD],
    ['avx', 'AVX in XCR0', 'b80700000031d231c90f01d1', GP],
    ['fsgsbase', 'fsgsbase', 'f3480faec0', UD],
    ['fxsr', 'sse', '0f58c1', UD],
    // MOV CR4, RAX with the bit set
    ['pge', 'CR4.PGE', 'b8a00000000f22e0', GP],
    ['pcid', 'CR4.PCIDE', 'b8200002000f22e0', GP],
    ['smep', 'CR4.SMEP', 'b8200010000f22e0', GP],
    ['smap', 'CR4.SMAP', 'b8200020000f22e0', GP],
    ['umip', 'CR4.UMIP', 'b8200800000f22e0', GP],
    ['de', 'CR4.DE', 'b8280000000f22e0', GP],
    ['vme', 'CR4.VME', 'b8210000000f22e0', GP],
    // WRMSR to EFER: SCE, NXE
    ['syscall', 'EFER.SCE', 'b9800000c0b80105000031d20f30', GP],
    ['nx', 'EFER.NXE', 'b9800000c0b80009000031d20f30', GP],
    ['mtrr', 'MTRRcap', 'b9fe0000000f32', GP],
    ['rdtscp=0,rdpid', 'TSC_AUX', 'b9030100c00f32', GP],
    ['x2apic', 'x2APIC mode', 'b91b000000b8000ce0fe31d20f30', GP],
  ])('without %s, %s raises', (mask, _, hex, exception) => {
    const code = Buffer.from(hex, 'hex');
    expect(run(machineWith(masked(`${mask}=0`)), code)[0]).toBe(exception);
    // The same with the feature: only the APIC's mode asks the outside, which a bare machine has not.
    if (mask !== 'x2apic') expect(run(machineWith(cpuidPolicy()), code)).toEqual([]);
  });

  test.each(['sse4_2 660f3837c1', 'bmi2 c4e263f5c2', 'aes 660f38dcc1', 'sha 0f38cbca', 'movbe 0f38f006'])(
    'as under Xen, a mask does not stop what no control bit stops: %s',
    (entry) => {
      const [name, hex] = entry.split(' ');
      const policy = masked(`${name}=0`);
      expect(shows(policy, name!)).toBe(false);
      expect(run(machineWith(policy), Buffer.from(hex!, 'hex'))).toEqual([]);
    },
  );
});
