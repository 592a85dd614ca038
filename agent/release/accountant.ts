import { isDeepStrictEqual } from "node:util";
import { type Clock, isoTime, pause } from "../../drivers/clock.ts";
import { codeOf } from "../../drivers/coded-error.ts";
import type { Log } from "../../drivers/log.ts";
import type { Printer, PrinterJob, PrinterState } from "../../drivers/printer.ts";
import type { LifeCount } from "../../drivers/printer-counts.ts";
import type { Account } from "../protocol/account.ts";
import { accountOf, type Evidence, type LifeEvidence } from "./accounting.ts";
import type { Claim, Ledger } from "./ledger.ts";
import type { Release } from "./machine.ts";
import type { Stage } from "./trace.ts";

export interface AccountantContext {
  readonly printer: Printer;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Log;
  /** The account of a job whose end was told already is known better now. */
  readonly amended?: () => void;
}

/** What of a piece of work the accountant looks at, and what it passes on. */
interface Watched {
  readonly claim: Claim;
  readonly preflight?: Promise<PrinterState>;
  stage?(stage: Stage): void;
  waits?(release: Release): void;
  ended(release: Release): void;
}

/** Printers update a job's counts after its end. */
const LATE_MS = 1000;
/** Between two readings of the life count after a job. Two equal ones, with the printer idle, are its end. */
const AGAIN_MS = 2000;
/** For so long, at most: a life count may lag behind the paper by tens of seconds. */
const AFTER_MS = 30_000;
/** A release so soon after one of ours may find the life count still behind that one. */
const LAG_MS = 60_000;

/** What is learnt of one release while it runs. */
interface Book {
  before: LifeCount | undefined;
  /** Why there is no `before`, or none to use. */
  without: "unread" | "read-late" | "not-exclusive" | "nothing";
  alone: boolean;
  sending: boolean;
  /** An earlier job of ours may not be in the life count yet, unless it stands at `settled`. */
  readonly lagging: boolean;
  readonly settled: LifeCount | undefined;
  /** Aborts when the life count can no longer be this job's alone; the reason says why. */
  readonly next: AbortController;
}

/**
 * Keeps the accounts of one printer's releases, beside them: no release and no word waits for anything here. What is known
 * when a job ends is recorded at once; what comes later amends it.
 */
export class Accountant {
  readonly #context: AccountantContext;
  readonly #count: (name: string) => void;
  readonly #stopping = new AbortController();
  readonly #pending = new Set<Promise<void>>();
  #next = new AbortController();
  #ahead: Promise<LifeCount | undefined> | undefined;
  #endedAt = Number.NEGATIVE_INFINITY;
  #settled: LifeCount | undefined;

  constructor(context: AccountantContext, count: (name: string) => void) {
    this.#context = context;
    this.#count = count;
  }

  /** A tap came: the life count is asked while the central server thinks, so that it is here before a document leaves. */
  prepare(): void {
    this.#ahead = this.#context.printer.lifeCount?.().catch(this.#failed);
  }

  /** The same work, watched. `idle`: no other release of ours runs or waits at this printer. */
  watch<Work extends Watched>(work: Work, idle: boolean): Work {
    this.#next.abort("next-release");
    this.#next = new AbortController();
    const now = this.#context.clock.monotonic();
    const book: Book = {
      ...{ before: undefined, alone: false, sending: false, next: this.#next, settled: this.#settled },
      without: idle ? "unread" : "not-exclusive",
      lagging: now - this.#endedAt < LAG_MS,
    };
    this.#settled = undefined;
    if (idle) this.#readBefore(book, work.preflight);
    this.#ahead = undefined;
    return {
      ...work,
      stage: (stage: Stage) => {
        if (stage === "firstByte") book.sending = true;
        work.stage?.(stage);
      },
      waits: (release: Release) => {
        // The printer was looked at before: somebody else's job may have come and gone since.
        if (!book.sending) book.alone = false;
        work.waits?.(release);
      },
      ended: (release: Release) => {
        this.#ended(work.claim, release, book);
        work.ended(release);
      },
    };
  }

  /** Resolves when every account is as good as it gets. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  /** What is still being learnt is recorded without the rest. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#next.abort("agent-stopping");
    await this.idle();
  }

  /** Not waited for. A reading that comes when the document is on its way may hold pages of it. */
  #readBefore(book: Book, preflight: Promise<PrinterState> | undefined): void {
    const { printer } = this.#context;
    preflight?.then(
      (state) => {
        book.alone = isFree(state);
      },
      () => {}, // met where the release awaits it
    );
    const reading = this.#ahead ?? printer.lifeCount?.() ?? Promise.resolve(undefined);
    reading.then((count) => {
      if (count === undefined) book.without = "nothing";
      else if (book.sending) book.without = "read-late";
      else book.before = count;
    }, this.#failed);
  }

  #ended(claim: Claim, release: Release, book: Book): void {
    this.#endedAt = this.#context.clock.monotonic();
    const { end, job, phase } = release;
    if (end === undefined || phase === "RETURNED") return; // no page of it came out
    const evidence: Evidence = { word: end.word, counts: [countsOf(end)] };
    const first = accountOf(evidence);
    this.#record(claim, first);
    if (this.#stopping.signal.aborted) return;
    const amending = this.#amend(claim, job, evidence, first, book)
      .catch(this.#failed)
      .finally(() => this.#pending.delete(amending));
    this.#pending.add(amending);
  }

  async #amend(claim: Claim, job: PrinterJob | undefined, evidence: Evidence, first: Account, book: Book) {
    const { printer, clock, amended } = this.#context;
    const { signal } = this.#stopping;
    await pause(clock, LATE_MS, signal);
    const late =
      job === undefined || signal.aborted ? undefined : await printer.jobCounts?.(job, signal).catch(this.#failed);
    const counts = late === undefined ? evidence.counts : [...evidence.counts, late];
    const life = await this.#lifeOf(job, evidence.word === "printed", book);
    const account = accountOf({ ...evidence, counts, life });
    if (account.source === "none") this.#count("account-none");
    if (account.mismatch) this.#count("account-mismatch");
    if (account.discarded !== undefined) this.#count("account-discarded");
    if (isDeepStrictEqual(account, first)) return;
    this.#record(claim, account);
    amended?.();
  }

  /** Undefined where the printer tells no life count. */
  async #lifeOf(job: PrinterJob | undefined, printed: boolean, book: Book): Promise<LifeEvidence | undefined> {
    const { before, without, next } = book;
    if (before === undefined) return without === "nothing" ? undefined : { discarded: without };
    if (!book.alone) return { discarded: "not-exclusive" };
    // The one before it may still be counted; only where its account ended with this very reading, it is not.
    if (book.lagging && !isDeepStrictEqual(book.settled, before)) return { discarded: "not-settled" };
    const { signal } = next;
    const found = await this.#settle(before, printed, signal);
    if (signal.aborted) return { discarded: signal.reason };
    if (found === undefined) return { discarded: "not-settled" };
    const { after, shared } = found;
    const { printer } = this.#context;
    const others = job === undefined ? 0 : await printer.jobsAfter?.(job, this.#stopping.signal).catch(this.#failed);
    if (signal.aborted) return { discarded: signal.reason };
    this.#settled = after;
    return { before, after, exclusive: !shared && (others ?? 0) === 0 };
  }

  /**
   * Reads until the printer is idle and the life count stands still. Undefined: it did not, or cannot be read. The next
   * release ends the wait, but no request on its way: that would cost the printer's kept connection, which it needs itself.
   */
  async #settle(before: LifeCount, printed: boolean, next: AbortSignal) {
    const { printer, clock } = this.#context;
    const until = clock.monotonic() + AFTER_MS;
    let [last, shared]: [LifeCount | undefined, boolean] = [undefined, false];
    while (!next.aborted) {
      const state = await printer.state(this.#stopping.signal).catch(this.#failed);
      const count = next.aborted ? undefined : await printer.lifeCount?.();
      // The printer itself may be busy for a moment longer; a job that has not ended is somebody else's.
      shared ||= (state?.queued ?? 0) > 0;
      const over = clock.monotonic() >= until;
      const free = state !== undefined && isFree(state);
      const still = count !== undefined && isDeepStrictEqual(count, last);
      if (free && still && (over || !printed || count.value !== before.value)) return { after: count, shared };
      if (over) return undefined;
      last = free ? count : undefined;
      await pause(clock, AGAIN_MS, next);
    }
    return undefined;
  }

  #record(claim: Claim, account: Account): void {
    const { ledger, clock } = this.#context;
    // What is not on the disk is told to the central server all the same.
    ledger.account(claim.claimId, account, isoTime(clock)).catch(this.#failed);
  }

  readonly #failed = (error: unknown): undefined => {
    const code = codeOf(error);
    if (this.#stopping.signal.aborted) return;
    this.#count(`account-${code}`);
    this.#context.log.debug({ code }, "the account of a job could not be completed");
  };
}

function isFree({ state, queued }: PrinterState): boolean {
  return state === "idle" && (queued ?? 0) === 0;
}

function countsOf({ impressions, sheets }: NonNullable<Release["end"]>) {
  return {
    ...(impressions === undefined ? {} : { impressions }),
    ...(sheets === undefined ? {} : { sheets }),
  };
}
