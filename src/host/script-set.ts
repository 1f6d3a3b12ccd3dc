/** Several scripts at once: `--script web=web.script --script db=db.script`, each at its own domain's console first. */
import { readText } from './files.ts';
import { type Driver, parseScript, type Script, ScriptRunner, type ScriptStep } from './script.ts';

/** A script with the domain it begins at; the session's first one if none was named. */
export interface StartedScript {
  readonly domain: string | undefined;
  readonly script: Script;
}

/** Reads `FILE` or `DOMAIN=FILE`; what stands before the `=` must be a domain there is, else it is part of a path. */
export function readScript(text: string, domains: readonly string[]): StartedScript {
  const [, name, file] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name !== undefined && domains.includes(name))
    return { domain: name, script: parseScript(readText(file!, 'script'), file!) };
  return { domain: undefined, script: parseScript(readText(text, 'script'), text) };
}

/** Configurations that scripts `xl create`: files, or names of domains. */
export function createdConfigs(scripts: readonly Script[]): string[] {
  const created = scripts.flatMap(({ lines }) =>
    lines.flatMap((line) =>
      line.do === 'xl' && line.command.text.startsWith('create ') ? line.command.args.slice(-1) : [],
    ),
  );
  return [...new Set(created)];
}

/** All of them run side by side; the one named first goes first where several could. */
export class ScriptSet implements Driver {
  readonly #runners: readonly ScriptRunner[];

  /** @throws ScriptError if one names a domain that there is not. */
  constructor(scripts: readonly StartedScript[], domains: readonly string[]) {
    this.#runners = scripts.map(({ script, domain }) => new ScriptRunner(script, domains, domain));
  }

  onOutput(domain: string, bytes: Uint8Array): void {
    for (const runner of this.#runners) runner.onOutput(domain, bytes);
  }

  /** The session ends when one script says so, or when all are through. */
  next(now: number): ScriptStep {
    let until = Number.POSITIVE_INFINITY;
    let through = true;
    for (const runner of this.#runners) {
      const step = runner.next(now);
      if (step.do === 'send' || step.do === 'xl') return step;
      if (step.do === 'end' && step.explicit) return step;
      if (step.do === 'wait') until = Math.min(until, step.until);
      if (step.do !== 'end') through = false;
    }
    if (through) return { do: 'end', explicit: false };
    return until === Number.POSITIVE_INFINITY ? { do: 'expect' } : { do: 'wait', until };
  }

  /** The wait that would be over first. */
  skipWait(): boolean {
    const waiting = this.#runners.filter((runner) => runner.until !== undefined);
    return waiting.sort((a, b) => a.until! - b.until!)[0]?.skipWait() ?? false;
  }

  get unmet(): string | undefined {
    return this.#runners.map(({ unmet }) => unmet).find((text) => text !== undefined);
  }
}
