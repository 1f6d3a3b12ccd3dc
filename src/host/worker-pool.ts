/** Threads that do jobs of one kind: what comes first goes to the first that is free. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

/** Threads that this host can run at the same time. */
export function processors(): number {
  return availableParallelism();
}

interface Waiting<Job, Result> {
  readonly job: Job;
  readonly done: (result: Result) => void;
  readonly failed: (error: Error) => void;
}

/** A worker answers each message, a job, with `{ value }` or `{ error: text }`. */
export class WorkerPool<Job, Result> {
  readonly #idle: Worker[] = [];
  readonly #all: Worker[] = [];
  readonly #busy = new Map<Worker, Waiting<Job, Result>>();
  readonly #waiting: Waiting<Job, Result>[] = [];

  constructor(file: URL, workerData: unknown, count: number) {
    for (let i = 0; i < count; i++) {
      const worker = new Worker(file, { workerData });
      worker.on('message', (answer: { value?: Result; error?: string }) => this.#answered(worker, answer));
      worker.on('error', (error) => this.#lost(worker, error as Error));
      worker.on('exit', (code) => this.#lost(worker, new Error(`a thread ended with status ${code}`)));
      this.#all.push(worker);
      this.#idle.push(worker);
    }
  }

  /** Does a job when a thread is free. Rejects with what the worker says. */
  run(job: Job): Promise<Result> {
    return new Promise((done, failed) => {
      this.#waiting.push({ job, done, failed });
      this.#hand();
    });
  }

  /** Forgets the jobs that no thread has begun; they are never answered. */
  drop(): void {
    this.#waiting.length = 0;
  }

  async close(): Promise<void> {
    this.drop();
    this.#busy.clear();
    await Promise.all(this.#all.map((worker) => worker.terminate()));
  }

  #hand(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.shift()!;
      const next = this.#waiting.shift()!;
      this.#busy.set(worker, next);
      worker.postMessage(next.job);
    }
  }

  #answered(worker: Worker, { value, error }: { value?: Result; error?: string }): void {
    const job = this.#busy.get(worker);
    this.#busy.delete(worker);
    this.#idle.push(worker);
    if (error !== undefined) job?.failed(new Error(error));
    else job?.done(value as Result);
    this.#hand();
  }

  #lost(worker: Worker, error: Error): void {
    this.#busy.get(worker)?.failed(error);
    this.#busy.delete(worker);
    const at = this.#idle.indexOf(worker);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#all.splice(this.#all.indexOf(worker), 1);
    if (this.#all.length === 0) for (const { failed } of this.#waiting.splice(0)) failed(error);
  }
}
