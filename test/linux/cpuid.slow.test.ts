/** What Linux and glibc make of the processor: whole, and masked by the configuration's `cpuid`. */
import { expect } from 'vitest';
import { testWithImages } from '../support/images.ts';
import { COMPLAINTS, expectVerified, IMAGES, KERNEL_OPTIONS, recordLinux } from './guest.ts';

/** Flags, the processor's numbers, and which of its libraries' variants glibc would take; then programs that use glibc. */
const SESSION = `
expect "is ready"
expect "# "
send "grep -m1 ^flags /proc/cpuinfo; grep -m3 -E 'family|model|stepping' /proc/cpuinfo; dmesg | grep 'xstate features'\\n"
expect "# "
send "/lib64/ld-linux-x86-64.so.2 --help | grep -A4 ^Subdir; xenstore-write data/a 1; xenstore-ls data; echo done\\n"
expect "done\\r\\n"
expect "# "
send "poweroff\\n"
expect "System halted"
`;

const CASES = [
  {
    name: 'whole',
    cpuid: '',
    has: 'fma pcid movbe avx f16c bmi1 avx2 bmi2 invpcid xsaveopt xsavec xgetbv1 gfni vaes vpclmulqdq rdpid avx_vnni',
    hasNot: 'avx512f rdrand monitor',
    lines: ['Enabled xstate features 0x7, context size is 832 bytes', 'x86-64-v3 (supported', 'model\t\t: 107'],
    never: /x86-64-v4 \(supported/,
  },
  {
    name: 'masked',
    cpuid: 'cpuid = "host,avx=0,pcid=0,smap=0,family=0x17,model=0x31,stepping=2"',
    has: 'sse4_2 xsaveopt xsavec bmi2 fsgsbase',
    hasNot: 'avx avx2 fma f16c vaes vpclmulqdq avx_vnni pcid invpcid smap',
    lines: ['Enabled xstate features 0x3', 'x86-64-v2 (supported', 'cpu family\t: 23', 'model\t\t: 49'],
    never: /x86-64-v3 \(supported/,
  },
];

for (const { name, cpuid, has, hasNot, lines, never } of CASES)
  testWithImages(`Linux and glibc on the ${name} processor`, IMAGES, async () => {
    const session = await recordLinux({ domains: [`extra = "${KERNEL_OPTIONS}"\n${cpuid}`], script: SESSION });
    const text = session.console.get('linux')!;
    const flags = /^flags\s*: (.*?)\r?$/m.exec(text)![1]!.split(' ');
    for (const flag of has.split(' ')) expect(flags).toContain(flag);
    for (const flag of hasNot.split(' ')) expect(flags).not.toContain(flag);
    for (const line of lines) expect(text).toContain(line);
    expect(text).not.toMatch(never);
    expect(text).toContain('a = "1"');
    expect(text).not.toMatch(COMPLAINTS);
    expectVerified(session);
  });
