/** The errors that travel as names: xsd_errors of xen/include/public/io/xs_wire.h. */
export type XsErrorName =
  | 'EINVAL'
  | 'EACCES'
  | 'EEXIST'
  | 'EISDIR'
  | 'ENOENT'
  | 'ENOMEM'
  | 'ENOSPC'
  | 'EIO'
  | 'ENOTEMPTY'
  | 'ENOSYS'
  | 'EROFS'
  | 'EBUSY'
  | 'EAGAIN'
  | 'EISCONN'
  | 'E2BIG'
  | 'EPERM';

/** A request that fails; its name is what the client gets. */
export class XsError extends Error {
  readonly errno: XsErrorName;
  constructor(errno: XsErrorName) {
    super(errno);
    this.name = 'XsError';
    this.errno = errno;
  }
}
