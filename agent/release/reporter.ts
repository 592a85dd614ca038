import { type Clock, isoTime } from "../../drivers/clock.ts";
import { codeOf } from "../../drivers/coded-error.ts";
import type { Log } from "../../drivers/log.ts";
import type { Outcome } from "../protocol/schema.ts";
import type { Ledger, LedgerEntry } from "./ledger.ts";
import type { EndPhase } from "./machine.ts";
import type { Central } from "./ports.ts";

const RETRY_MS = [1000, 2000, 5000, 15_000, 60_000] as const;
/** After these no other outcome would get through either. */
const LINE_DOWN: ReadonlySet<string> = new Set(["link-unreachable", "link-timeout", "link-rate-limited"]);

export interface ReporterContext {
  readonly central: Central;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when the central server has taken an outcome. */
  readonly reported: (claimId: string) => void;
}

/** Tells the central server how each job ended, until it has taken it; a repeat is harmless there. Survives restarts through the ledger. */
export class Reporter {
  readonly counters: Record<string, number> = {};
  readonly #context: ReporterContext;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #again = false;
  #failures = 0;
  #cancelRetry: (() => void) | undefined;

  constructor(context: ReporterContext) {
    this.#context = context;
  }

  /** Reports what the ledger holds unreported, now. */
  kick(): void {
    if (this.#stopping.signal.aborted) return;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#again = true;
    // Not begun here: with nothing to report it would end before `#running` is set, and never run again.
    this.#running ??= Promise.resolve().then(() => this.#run());
  }

  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancelRetry?.();
    await this.idle();
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#stopping.signal.aborted) {
      this.#again = false;
      let failed = false;
      for (const entry of this.#context.ledger.unreported) {
        const code = await this.#report(entry);
        failed ||= code !== undefined;
        if (code !== undefined && (LINE_DOWN.has(code) || this.#stopping.signal.aborted)) break;
      }
      if (failed) return this.#retryLater();
      this.#failures = 0;
    }
    this.#running = undefined;
  }

  /** Why it could not be reported. */
  async #report(entry: LedgerEntry): Promise<string | undefined> {
    const { central, ledger, log, reported } = this.#context;
    const { phase, end } = entry.release;
    if (end === undefined) return undefined;
    const { word, reason, ...more } = end;
    const { account } = entry;
    const outcome: Outcome = {
      claimId: entry.claimId,
      word,
      state: phase as EndPhase,
      reason,
      at: entry.at,
      ...more,
      ...(account === undefined ? {} : { account }),
    };
    try {
      const { result } = await central.outcome(entry.jobId, outcome, this.#stopping.signal);
      this.#count(result);
      if (result === "superseded")
        log.warn({ claim: entry.claimId, word }, "the claim was no longer ours when its outcome came");
    } catch (error) {
      const code = codeOf(error);
      this.#count(code);
      log.warn({ claim: entry.claimId, code }, "the outcome could not be reported; it is tried again");
      // It does not know the claim and never will: nothing is left to say.
      if (code !== "link-claim-lost") return code;
    }
    // Amended while this was on its way: that is told next.
    if (ledger.accountOf(entry.claimId) !== account) this.#again = true;
    else await this.#mark(entry.claimId);
    reported(entry.claimId);
    return undefined;
  }

  async #mark(claimId: string): Promise<void> {
    const { ledger, clock, log } = this.#context;
    await ledger.reported(claimId, isoTime(clock)).catch((error: unknown) => {
      // Reported again after a restart, which does no harm.
      this.#count(codeOf(error));
      log.error({ claim: claimId, code: codeOf(error) }, "the ledger could not be written");
    });
  }

  #retryLater(): void {
    this.#running = undefined;
    if (this.#stopping.signal.aborted) return;
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)] ?? RETRY_MS[0];
    this.#failures += 1;
    this.#cancelRetry = this.#context.clock.after(wait, () => this.kick());
  }

  #count(name: string): void {
    this.counters[name] = (this.counters[name] ?? 0) + 1;
  }
}
