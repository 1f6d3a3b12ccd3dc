/** Path rules of docs/misc/xenstore.txt, with the limits of xs_wire.h as xenstored applies them. */

const RELATIVE_MAX = 2048;
const DOMAIN_PREFIX = /^\/local\/domain\/\d{1,5}\//;

/** An absolute path that may name a node: no empty part, no closing slash, letters, digits and -/_@ only. */
export function isValidPath(path: string): boolean {
  if (!path.startsWith('/')) return false;
  if (path === '/') return true;
  if (path.endsWith('/') || path.includes('//')) return false;
  const prefix = DOMAIN_PREFIX.exec(path)?.[0].length ?? 0;
  return path.length <= prefix + RELATIVE_MAX && /^[A-Za-z0-9\-/_@]+$/.test(path);
}

/** A special event such as @releaseDomain. */
export function isSpecial(path: string): boolean {
  return path.startsWith('@');
}

export function isValidWatchPath(path: string): boolean {
  return isSpecial(path) ? path.length <= RELATIVE_MAX : isValidPath(path);
}

export function domainPath(domain: number): string {
  return `/local/domain/${domain}`;
}

/** Absolute form: relative paths are the domain's own. */
export function absolute(path: string, domain: number): string {
  return path.startsWith('/') || isSpecial(path) ? path : `${domainPath(domain)}/${path}`;
}

/** @returns '/' for nodes at the top. The root has no parent: do not ask. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}

export function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function childOf(path: string, name: string): string {
  return path === '/' ? `/${name}` : `${path}/${name}`;
}

/** Whether `path` is `ancestor` or lies below it. */
export function isWithin(path: string, ancestor: string): boolean {
  return ancestor === '/' || path === ancestor || path.startsWith(`${ancestor}/`);
}
