import type { Connection } from './connection.ts';
import { XsError } from './errors.ts';
import type { Nodes } from './nodes.ts';
import { absolute, domainPath, isSpecial, isValidWatchPath } from './paths.ts';
import {
  accessOf,
  formatPermission,
  isPrivileged,
  OWNER,
  parsePermission,
  type Permissions,
  READ,
  WRITE,
} from './permissions.ts';
import type { Transaction } from './transaction.ts';
import { bytesOf, PAYLOAD_MAX, strings, Xs, zeroTerminated } from './wire.ts';
import type { Xenstored } from './xenstored.ts';

export interface Request {
  readonly daemon: Xenstored;
  readonly connection: Connection;
  readonly transaction: Transaction | undefined;
  /** Nodes as the request sees them: in its transaction if it names one. */
  readonly nodes: Nodes;
  readonly payload: Uint8Array;
}

export interface Outcome {
  readonly answer: Uint8Array;
  /** Runs after the answer is sent. */
  readonly afterwards?: () => void;
}

export interface Operation {
  readonly name: string;
  readonly run: (request: Request) => Outcome;
  /** For Domain 0 only; others get EACCES. */
  readonly privileged?: boolean;
  readonly ignoresTransaction?: boolean;
}

const OK: Outcome = { answer: zeroTerminated('OK') };
/** Domain ids that stand for something else (xen.h): DOMID_SELF. */
const DOMID_SELF = 0x7ff0;

/** Every request there is; one that is not here is answered with ENOSYS. */
export const OPERATIONS: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [Xs.CONTROL, { name: 'control', run: control, privileged: true }],
  [Xs.DIRECTORY, { name: 'directory', run: directory }],
  [Xs.READ, { name: 'read', run: (r) => ({ answer: r.nodes.read(onlyPath(r)) }) }],
  [Xs.GET_PERMS, { name: 'get_perms', run: getPermissions }],
  [Xs.WATCH, { name: 'watch', run: watch, ignoresTransaction: true }],
  [Xs.UNWATCH, { name: 'unwatch', run: unwatch, ignoresTransaction: true }],
  [Xs.TRANSACTION_START, { name: 'transaction_start', run: transactionStart }],
  [Xs.TRANSACTION_END, { name: 'transaction_end', run: transactionEnd }],
  [Xs.INTRODUCE, { name: 'introduce', run: introduce, privileged: true }],
  [Xs.RELEASE, { name: 'release', run: release, privileged: true }],
  [Xs.GET_DOMAIN_PATH, { name: 'get_domain_path', run: getDomainPath }],
  [Xs.WRITE, { name: 'write', run: write }],
  [Xs.MKDIR, { name: 'mkdir', run: (r) => done(r.nodes.mkdir(onlyPath(r))) }],
  [Xs.RM, { name: 'rm', run: (r) => done(r.nodes.remove(onlyPath(r))) }],
  [Xs.SET_PERMS, { name: 'set_perms', run: setPermissions }],
  [Xs.IS_DOMAIN_INTRODUCED, { name: 'is_domain_introduced', run: isDomainIntroduced, privileged: true }],
  [Xs.RESUME, { name: 'resume', run: resume, privileged: true }],
  [Xs.SET_TARGET, { name: 'set_target', run: setTarget, privileged: true }],
  [Xs.RESET_WATCHES, { name: 'reset_watches', run: (r) => done(r.connection.reset()) }],
  [Xs.DIRECTORY_PART, { name: 'directory_part', run: directoryPart }],
]);

/** For operations that answer nothing but OK. */
function done(_nothing: unknown): Outcome {
  return OK;
}

/** The payload as one string: exactly one zero, at its end. @throws XsError EINVAL */
function only({ payload }: Request): string {
  const texts = strings(payload);
  if (texts.length !== 1 || payload.at(-1) !== 0) throw new XsError('EINVAL');
  return texts[0]!;
}

function onlyPath(request: Request): string {
  return absolute(only(request), request.connection.domain);
}

/** The payload as strings, at least (or, with `exactly`, just) `count` of them. @throws XsError EINVAL */
function several({ payload }: Request, count: number, exactly = false): string[] {
  const texts = strings(payload);
  if (texts.length < count || (exactly && texts.length !== count)) throw new XsError('EINVAL');
  return texts;
}

/** A decimal number as C's atoi reads it: leading digits, else 0. */
function atoi(text: string): number {
  return Number(/^\s*[+-]?\d{1,10}/.exec(text)?.[0] ?? 0);
}

function directory(request: Request): Outcome {
  return { answer: zeroTerminated(...request.nodes.get(onlyPath(request), READ).children) };
}

/**
 * path|offset: generation|names from that byte of the list on, as many whole names as fit; the list's end is marked by
 * an empty name.
 */
function directoryPart(request: Request): Outcome {
  const [path, offsetText] = several(request, 2, true) as [string, string];
  const node = request.nodes.get(absolute(path, request.connection.domain), READ);
  const list = node.children.map((c) => `${c}\0`).join('');
  const offset = atoi(offsetText);
  const head = `${node.generation}\0`;
  if (offset < 0 || offset >= list.length) return { answer: bytesOf(`${head}\0`) };
  const room = PAYLOAD_MAX - head.length - 1;
  let length = 0;
  while (offset + length < list.length) {
    const next = list.indexOf('\0', offset + length) + 1 - offset;
    if (next > room) break;
    length = next;
  }
  const part = list.slice(offset, offset + length);
  return { answer: bytesOf(head + part + (offset + length === list.length ? '\0' : '')) };
}

function getPermissions(request: Request): Outcome {
  return { answer: zeroTerminated(...request.nodes.get(onlyPath(request), READ).permissions.map(formatPermission)) };
}

function setPermissions(request: Request): Outcome {
  const { daemon, connection } = request;
  const [path, ...texts] = several(request, 2) as [string, ...string[]];
  if (!isPrivileged(connection) && texts.length > daemon.quotas.permissions) throw new XsError('ENOSPC');
  const permissions = texts.map(parsePermission) as unknown as Permissions;
  if (!isSpecial(path)) {
    request.nodes.setPermissions(absolute(path, connection.domain), permissions);
    return OK;
  }
  const old = daemon.specialPermissions(path);
  if (old === undefined) throw new XsError('EINVAL');
  if ((accessOf(connection, old) & (WRITE | OWNER)) !== (WRITE | OWNER)) throw new XsError('EACCES');
  daemon.setSpecialPermissions(path, permissions);
  return OK;
}

function write(request: Request): Outcome {
  const [path] = several(request, 1) as [string];
  request.nodes.write(absolute(path, request.connection.domain), request.payload.slice(path.length + 1));
  return OK;
}

function watch(request: Request): Outcome {
  const { daemon, connection } = request;
  const [given, token] = several(request, 2, true) as [string, string];
  const path = absolute(given, connection.domain);
  if (!isValidWatchPath(path)) throw new XsError('EINVAL');
  if (connection.watches.some((w) => w.path === path && w.token === token)) throw new XsError('EEXIST');
  if (!isPrivileged(connection) && connection.watches.length > daemon.quotas.watches) throw new XsError('E2BIG');
  const added = { path, token, relative: path !== given };
  connection.watches.push(added);
  return { ...OK, afterwards: () => daemon.event(connection, connection.eventPath(added, path), token) };
}

function unwatch(request: Request): Outcome {
  const { connection } = request;
  const [given, token] = several(request, 2, true) as [string, string];
  const path = absolute(given, connection.domain);
  const at = connection.watches.findIndex((w) => w.path === path && w.token === token);
  if (at < 0) throw new XsError('ENOENT');
  connection.watches.splice(at, 1);
  return OK;
}

function transactionStart({ daemon, connection, transaction }: Request): Outcome {
  if (transaction !== undefined) throw new XsError('EBUSY');
  const { quotas, store } = daemon;
  const free = isPrivileged(connection);
  const started = connection.startTransaction(
    store,
    free ? Number.MAX_SAFE_INTEGER : quotas.transactions,
    free ? Number.MAX_SAFE_INTEGER : quotas.transactionNodes,
  );
  return { answer: zeroTerminated(String(started.id)) };
}

function transactionEnd(request: Request): Outcome {
  const { daemon, connection, transaction } = request;
  const verdict = only(request);
  if (verdict !== 'T' && verdict !== 'F') throw new XsError('EINVAL');
  if (transaction === undefined) throw new XsError('ENOENT');
  connection.transactions.delete(transaction.id);
  if (verdict === 'F') return OK;
  if (!isPrivileged(connection))
    for (const [domain, delta] of transaction.added)
      if (delta > 0 && domain !== 0 && daemon.store.owned(domain) + delta > daemon.quotas.nodes)
        throw new XsError('ENOSPC');
  transaction.commit();
  return OK;
}

function getDomainPath(request: Request): Outcome {
  return { answer: zeroTerminated(domainPath(atoi(only(request)))) };
}

/** domid|gfn|port */
function introduce(request: Request): Outcome {
  const [domain, gfn, port] = several(request, 3).map(atoi) as [number, number, number];
  if (port <= 0 || domain <= 0) throw new XsError('EINVAL');
  hooks(request).introduce(domain, gfn, port);
  return OK;
}

function release(request: Request): Outcome {
  hooks(request).release(connectedDomain(request));
  return OK;
}

function resume(request: Request): Outcome {
  hooks(request).resume(connectedDomain(request));
  return OK;
}

function isDomainIntroduced(request: Request): Outcome {
  const domain = atoi(only(request));
  const known = domain === DOMID_SELF || domain === 0 || hooks(request).isIntroduced(domain);
  return { answer: zeroTerminated(known ? 'T' : 'F') };
}

function setTarget(request: Request): Outcome {
  const [domain, target] = several(request, 2).map(atoi) as [number, number];
  const find = (id: number): Connection => {
    const found = request.daemon.connections().find((c) => c.domain === id && id !== 0);
    if (found === undefined) throw new XsError('ENOENT');
    return found;
  };
  find(target);
  find(domain).target = target;
  return OK;
}

function hooks({ daemon }: Request) {
  if (daemon.hooks === undefined) throw new XsError('ENOSYS');
  return daemon.hooks;
}

function connectedDomain(request: Request): number {
  const domain = atoi(only(request));
  if (domain === 0) throw new XsError('EINVAL');
  if (!hooks(request).isIntroduced(domain)) throw new XsError('ENOENT');
  return domain;
}

/** What an administrator's xenstore-control may ask here: help, check, quota. */
function control(request: Request): Outcome {
  const [command] = several(request, 1) as [string];
  if (command === 'help') return { answer: zeroTerminated('check', 'help', 'quota') };
  if (command === 'check') return { answer: zeroTerminated(request.daemon.store.check() ?? 'OK') };
  if (command !== 'quota') throw new XsError('EINVAL');
  const lines = Object.entries(request.daemon.quotas).map(([name, value]) => `${name.padEnd(16)}: ${value}`);
  return { answer: zeroTerminated(`Quota settings:\n${lines.join('\n')}\n`) };
}
