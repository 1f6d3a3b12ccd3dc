import { PAGE_SIZE } from '../../memory/frames.ts';
import { HYPERCALL } from '../abi/xen.ts';

const STUB_BYTES = 32;
const STUBS = PAGE_SIZE / STUB_BYTES;

/**
 * The page that a guest asks for by MSR 0x40000000: stub n makes hypercall n.
 *
 *     b8 nn nn nn nn   mov  eax, n
 *     0f 01 d9         vmmcall
 *     c3               ret
 *
 * HYPERVISOR_iret cannot be made by an HVM guest: its stub is `ud2` (as svm_init_hypercall_page has it).
 */
export function hypercallPage(): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  for (let n = 0; n < STUBS; n++) {
    page.set(n === HYPERCALL.iret ? [0x0f, 0x0b] : [0xb8, n, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3], n * STUB_BYTES);
  }
  return page;
}
