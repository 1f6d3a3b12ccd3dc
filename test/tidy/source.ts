/**
 * Reading our own sources for the tidy rules: which files exist, what they import, and their code with comments and
 * string contents blanked out, so that a rule about `Date.now` does not trip over a sentence that names it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative } from 'node:path';

/** One import or re-export, static or dynamic. */
export interface ImportSite {
  readonly specifier: string;
  readonly line: number;
  /** True for `import type` and `export type`: gone before the program runs. */
  readonly typeOnly: boolean;
  /** The names between the braces, without `type` and `as` parts; empty for namespace and side-effect imports. */
  readonly names: readonly string[];
}

export interface SourceFile {
  /** Path from the project's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** The text with comments and the contents of string literals replaced by spaces; same length and lines. */
  readonly code: string;
  readonly imports: readonly ImportSite[];
}

/** Builds the record the rules work on; the self-tests call it with made-up files. */
export function sourceFile(path: string, text: string): SourceFile {
  return { path, text, code: blank(text, true), imports: importsOf(text) };
}

/** All TypeScript files below the named folders of `root`, in path order; a missing folder counts as empty. */
export function readSources(root: string, folders: readonly string[]): SourceFile[] {
  const files: SourceFile[] = [];
  for (const folder of folders) {
    let names: string[];
    try {
      names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
    } catch {
      continue;
    }
    for (const name of names.sort()) {
      if (!name.endsWith('.ts') || name.includes('node_modules')) continue;
      const full = join(root, folder, name);
      files.push(sourceFile(relative(root, full).replaceAll('\\', '/'), readFileSync(full, 'utf8')));
    }
  }
  return files;
}

/** Resolves a relative specifier to a path from the project's root; undefined for packages. */
export function resolveImport(from: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? posix.normalize(posix.join(posix.dirname(from), specifier)) : undefined;
}

export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let i = 0; i < offset; i++) if (text.charCodeAt(i) === 10) line++;
  return line;
}

const IMPORT =
  /(?:^|[;\s}])(?:(?:import|export)\s+(type\s+)?((?:[\w$*\s,]|\{[^}]*\})*?)\s*from\s*|import\s*\(\s*|import\s+)(['"])([^'"\n]+)\3/g;

function importsOf(text: string): ImportSite[] {
  const code = blank(text, false);
  const sites: ImportSite[] = [];
  for (const match of code.matchAll(IMPORT)) {
    const clause = match[2] ?? '';
    const braces = /\{([^}]*)\}/.exec(clause)?.[1] ?? '';
    const items = braces
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean);
    const allTypes = items.length > 0 && /^\{[^}]*\}$/.test(clause.trim()) && items.every((i) => i.startsWith('type '));
    sites.push({
      specifier: match[4]!,
      line: lineAt(text, match.index + match[0].length),
      typeOnly: match[1] !== undefined || allTypes,
      names: items.map((item) => item.replace(/^type\s+/, '').split(/\s+as\s+/)[0]!),
    });
  }
  return sites;
}

/**
 * Replaces comments, and string contents if `strings`, by spaces. The code inside `${}` of a template stays. A regular
 * expression literal is told from a division by what stands before it, which is right for all code a formatter wrote.
 */
function blank(text: string, strings: boolean): string {
  const out = text.split('');
  const wipe = (from: number, to: number) => {
    for (let k = from; k < to && k < out.length; k++) if (out[k] !== '\n') out[k] = ' ';
  };
  const templates: number[] = []; // brace depth at which each open `${` closes
  let depth = 0;
  let i = 0;
  while (i < text.length) {
    const c = text[i]!;
    if (c === '/' && text[i + 1] === '/') i = wiped(wipe, i, endOf(text, '\n', i));
    else if (c === '/' && text[i + 1] === '*') i = wiped(wipe, i, endOf(text, '*/', i + 2) + 2);
    else if (c === '/' && regexMayStart(out, i)) {
      const end = endOfRegex(text, i);
      if (strings) wipe(i + 1, end - 1);
      i = end;
    } else if (c === "'" || c === '"') {
      const end = endOfString(text, i, c);
      if (strings) wipe(i + 1, end - 1);
      i = end;
    } else if (c === '`' || (c === '}' && templates.at(-1) === depth)) {
      if (c === '}') templates.pop();
      const end = endOfTemplateChunk(text, i + 1);
      const opens = text[end - 1] === '{';
      if (strings) wipe(i + 1, opens ? end - 2 : end - 1);
      if (opens) templates.push(depth);
      i = end;
    } else {
      if (c === '{') depth++;
      else if (c === '}') depth--;
      i++;
    }
  }
  return out.join('');
}

function wiped(wipe: (from: number, to: number) => void, from: number, to: number): number {
  wipe(from, to);
  return to;
}

function endOf(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from);
  return at < 0 ? text.length : at;
}

function endOfString(text: string, from: number, quote: string): number {
  let i = from + 1;
  while (i < text.length && text[i] !== quote && text[i] !== '\n') i += text[i] === '\\' ? 2 : 1;
  return i + 1;
}

function endOfTemplateChunk(text: string, from: number): number {
  let i = from;
  while (i < text.length) {
    if (text[i] === '\\') i += 2;
    else if (text[i] === '`') return i + 1;
    else if (text[i] === '$' && text[i + 1] === '{') return i + 2;
    else i++;
  }
  return i;
}

function regexMayStart(out: readonly string[], at: number): boolean {
  let i = at - 1;
  while (i >= 0 && (out[i] === ' ' || out[i] === '\n')) i--;
  if (i < 0) return true;
  if ('=([,;:!&|?{}>+-*%~^<'.includes(out[i]!)) return true;
  return /(?:^|[^\w$.])(?:return|typeof|case|of|in)$/.test(out.slice(Math.max(0, i - 8), i + 1).join(''));
}

function endOfRegex(text: string, from: number): number {
  let inClass = false;
  let i = from + 1;
  for (; i < text.length && text[i] !== '\n'; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '[') inClass = true;
    else if (text[i] === ']') inClass = false;
    else if (text[i] === '/' && !inClass) break;
  }
  return i + 1;
}
