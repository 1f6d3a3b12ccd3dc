/** A thread that runs sessions under chaos, one after the other, as it is asked. */
import './v8.ts';
import { parentPort, workerData } from 'node:worker_threads';
import { type ChaosJob, chaosRun, type ChaosSearch } from './chaos-run.ts';
import { parseFailCondition } from './chaos-watch.ts';
import { elfSymbols } from '../debug/symbols/elf-symbols.ts';
import { ImageTable, readImage } from './images.ts';
import { parseScript } from './script.ts';
import { createdConfigs } from './script-set.ts';
import { loadDomains, loadLater } from './start.ts';
import type { MachineConfig } from '../machine/config.ts';

/** `workerData`. */
export interface ChaosSearchText {
  readonly paths: readonly string[];
  readonly script: { readonly text: string; readonly file: string };
  readonly machine: Partial<MachineConfig>;
  readonly fail: string | undefined;
  /** Domain whose registers and memory `fail` means; the first one by default. */
  readonly domain: string | undefined;
  /** Path of an ELF image with its symbols. */
  readonly symbols: string | undefined;
  readonly maxTicks: number | undefined;
}

/** Reads configurations, images, script and condition. @throws Error for people */
export function loadSearch(text: ChaosSearchText, warn: (text: string) => void): ChaosSearch {
  const images = new ImageTable();
  const script = parseScript(text.script.text, text.script.file);
  const started = loadDomains(text.paths, images, warn);
  const domains = [...started, ...loadLater(createdConfigs([script]), started, images, warn)];
  const names = domains.map(({ config: { name } }) => name);
  const domain = text.domain ?? names[0]!;
  if (!names.includes(domain)) throw new Error(`there is no domain ${domain}; there are: ${names.join(', ')}`);
  const symbols = text.symbols === undefined ? undefined : elfSymbols(readImage(text.symbols, 'symbols'));
  if (text.symbols !== undefined && !symbols) throw new Error(`${text.symbols} has no symbols`);
  return {
    domains,
    subject: { domain, symbols },
    images,
    machine: text.machine,
    script,
    fail: text.fail === undefined ? undefined : parseFailCondition(text.fail),
    maxTicks: text.maxTicks,
  };
}

if (parentPort) {
  const port = parentPort;
  const search = loadSearch(workerData as ChaosSearchText, () => {});
  port.on('message', (job: ChaosJob) => {
    void chaosRun(search, job).then(
      (value) => port.postMessage({ value }),
      (error: unknown) => port.postMessage({ error: error instanceof Error ? error.message : String(error) }),
    );
  });
}
