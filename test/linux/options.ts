/** Without the kernel's tests of its own ciphers, which are half of a boot. For programs without vitest, too. */
export const CRYPTO_UNTESTED = 'cryptomgr.notests';

export const KERNEL_OPTIONS: string = `console=hvc0 panic=-1 ${CRYPTO_UNTESTED}`;
