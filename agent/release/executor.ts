import { Accountant, type AccountantContext } from "./accountant.ts";
import { type ExecutorContext, Run, type Work } from "./run.ts";

/** How long a claim waits behind one other: its person has left, and must neither find the job gone elsewhere nor leave paper here. */
const QUEUE_MS = 10 * 60_000;

/** Runs the releases of one printer, one at a time, in order; the next document is fetched while the previous one prints. */
export class PrinterExecutor {
  readonly counters: Record<string, number> = {};
  readonly #context: ExecutorContext;
  readonly #accountant: Accountant;
  readonly #waiting: Run[] = [];
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(context: ExecutorContext & AccountantContext) {
    this.#context = context;
    this.#accountant = new Accountant(context, (name) => {
      this.counters[name] = (this.counters[name] ?? 0) + 1;
    });
  }

  get depth(): number {
    return this.#waiting.length + (this.#running === undefined ? 0 : 1);
  }

  /** A tap came, which may bring work. Never throws. */
  prepare(): void {
    if (this.depth === 0) this.#accountant.prepare();
  }

  enqueue(work: Work): void {
    const watched = this.#accountant.watch(work, this.depth === 0);
    const run = new Run(this.#context, watched, this.#stopping.signal, this.counters);
    this.#waiting.push(run);
    if (this.#running === undefined) this.#running = this.#drain();
    else {
      run.wait(this.#waiting.length === 1);
      this.#limitWait(run);
    }
  }

  /** Resolves when nothing runs and nothing waits. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Work that was not sent is returned; a watch is left to the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.idle();
    await this.#accountant.stop();
  }

  async #drain(): Promise<void> {
    for (let run = this.#waiting.shift(); run !== undefined; run = this.#waiting.shift()) {
      const running = run.toEnd();
      this.#waiting[0]?.wait(true);
      for (const waiting of this.#waiting) this.#limitWait(waiting);
      await running;
    }
    this.#running = undefined;
  }

  /** Anew whenever the queue moves on. */
  #limitWait(run: Run): void {
    run.giveUpAfter(QUEUE_MS, () => this.#waiting.splice(this.#waiting.indexOf(run), 1));
  }
}
