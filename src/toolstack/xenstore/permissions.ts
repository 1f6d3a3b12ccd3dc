import { XsError } from './errors.ts';

/** Access bits. OWNER stands for what only the owner (and Domain 0) may do. */
export const READ = 1;
export const WRITE = 2;
export const OWNER = 4;

export interface Permission {
  readonly domain: number;
  /** READ | WRITE or 0. */
  readonly access: number;
}

/** The first entry names the owner, and what everybody without an entry of their own may do. */
export type Permissions = readonly [Permission, ...Permission[]];

const LETTERS = ['n', 'r', 'w', 'b'];

export function formatPermission(p: Permission): string {
  return `${LETTERS[p.access & 3]}${p.domain}`;
}

/** @throws XsError EINVAL for anything but n, r, w, b and a domain id */
export function parsePermission(text: string): Permission {
  const [, letter, id] = /^([nrwb])(\d{1,5})$/.exec(text) ?? [];
  if (letter === undefined || Number(id) > 0xffff) throw new XsError('EINVAL');
  return { domain: Number(id), access: LETTERS.indexOf(letter) };
}

/** Who asks: a domain, and the domain it acts for (SET_TARGET). */
export interface Caller {
  readonly domain: number;
  readonly target: number | undefined;
}

export function isPrivileged(caller: Caller): boolean {
  return caller.domain === 0;
}

/** What `caller` may do with a node. */
export function accessOf(caller: Caller, permissions: Permissions): number {
  const owner = permissions[0];
  const isCaller = (domain: number): boolean => domain === caller.domain || domain === caller.target;
  if (isPrivileged(caller) || isCaller(owner.domain)) return READ | WRITE | OWNER;
  for (let i = 1; i < permissions.length; i++) if (isCaller(permissions[i]!.domain)) return permissions[i]!.access;
  return owner.access;
}
