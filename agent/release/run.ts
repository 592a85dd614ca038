import { type Clock, isoTime, pause } from "../../drivers/clock.ts";
import { codeOf } from "../../drivers/coded-error.ts";
import type { Log } from "../../drivers/log.ts";
import {
  type JobRequest,
  type Printer,
  PrinterError,
  type PrinterJobStatus,
  type PrinterState,
} from "../../drivers/printer.ts";
import type { Manifest } from "../protocol/schema.ts";
import { discardJob, OVER } from "./discard.ts";
import { type FetchedDocument, fetchDocument } from "./document.ts";
import { detailOf, jobTicketOf, mustHavePassword } from "./job-ticket.ts";
import type { Claim, Ledger } from "./ledger.ts";
import { claimed, type Effect, firstEffect, type Input, type Release, type Step, step } from "./machine.ts";
import type { Central } from "./ports.ts";
import { type BlockingRules, blockCode, blockingReasons } from "./preflight.ts";
import type { RamSpool } from "./spool.ts";
import type { Stage } from "./trace.ts";
import { Watch } from "./watch.ts";

/** One claimed job on its way. `start` is where a restarted agent goes on; without it the job is new. */
export interface Work {
  readonly claim: Claim;
  readonly start?: Step;
  /** Absent for work that is resumed: it never fetches again. */
  readonly manifest?: Manifest;
  /** The job-password that came beside the manifest; nothing but the printer ever gets it. */
  readonly jobPassword?: string | undefined;
  /** The printer's state, asked while the central server was thinking; asked anew where absent. */
  readonly preflight?: Promise<PrinterState>;
  /** Monotonic ms until which the claim is ours; moved on by renewals. */
  leaseUntil(): number;
  stage?(stage: Stage): void;
  /** The release has to wait, or what it waits for has changed. */
  waits?(release: Release): void;
  ended(release: Release): void;
}

export interface ExecutorContext {
  readonly printer: Printer;
  readonly central: Central;
  readonly ledger: Ledger;
  readonly spool: RamSpool;
  readonly clock: Clock;
  readonly log: Log;
  /** What the policy says now; the defaults where absent. */
  readonly blocking?: (() => BlockingRules) | undefined;
}

/** Waits before the n-th new try, in ms. */
const RETRY_MS = [1000, 1000, 2000, 3000, 5000, 8000] as const;
/** How long a claim is held while the printer is not ready: about as long as a person waits. */
const PATIENCE_MS = 60_000;
/** Printer and central codes after which another try may succeed while the person still stands there. */
const RETRYABLE: ReadonlySet<string> = new Set([
  "printer-busy",
  "printer-not-accepting",
  "printer-spool-full",
  "printer-unavailable",
  "printer-unreachable",
  "printer-timeout",
  "printer-broken-connection",
  "link-unreachable",
  "link-timeout",
  "link-server-error",
  "document-truncated",
]);
/**
 * These replies to a document mean that the printer took none. Others do not: device-error comes with a job that waits
 * for its jam to be cleared, job-canceled with one that may have put out pages (RFC 8011 B.1.5.5, B.1.5.9).
 */
const REFUSALS: ReadonlySet<string> = new Set([
  "printer-busy",
  "printer-not-accepting",
  "printer-format-unsupported",
  "printer-ticket-unsupported",
  "printer-account-refused",
  "printer-auth-required",
  "printer-auth-refused",
  "printer-auth-unsupported",
  "printer-job-unknown",
]);
/** No document is begun this close to the end of the lease, in ms. */
const LEASE_MARGIN_MS = 1000;

/** The effects of one release's machine. */
export class Run {
  readonly #context: ExecutorContext;
  readonly #work: Work;
  readonly #stop: AbortSignal;
  readonly #counters: Record<string, number>;
  readonly #request: JobRequest;
  #state: Release;
  #document: Promise<FetchedDocument> | undefined;
  readonly #download = new AbortController();
  #preflight: Promise<PrinterState> | undefined;
  #validated: Promise<void> | undefined;
  /** True once an empty job of ours may stand at the printer. */
  #mayHaveCreated: boolean;
  #cancelGiveUp = () => {};
  #started = 0;
  readonly #watch = new Watch();

  constructor(context: ExecutorContext, work: Work, stop: AbortSignal, counters: Record<string, number>) {
    this.#context = context;
    this.#work = work;
    this.#stop = stop;
    this.#counters = counters;
    this.#state = work.start?.state ?? claimed;
    this.#preflight = work.preflight;
    this.#mayHaveCreated = work.start !== undefined;
    this.#request = {
      // Unique over all time: it is what a look-up after a break recognises the job by.
      name: `printgate-${work.claim.claimId}`,
      user: work.manifest?.user ?? "printgate",
      format: work.manifest?.format ?? "application/octet-stream",
      ticket: jobTicketOf(work.manifest?.ticket, work.jobPassword),
    };
  }

  /** Another release goes before. The `next` one begins its download; its failure is met when the document is needed. */
  wait(next: boolean): void {
    this.#preflight = undefined; // old by then
    const { manifest } = this.#work;
    const { spool } = this.#context;
    // A document that must stream would only hold a connection open.
    if (!next || manifest === undefined || this.#document !== undefined || !spool.fits(manifest.size)) return;
    this.#fetch(manifest).catch(() => {}); // the same promise is awaited, and its error handled, by the `fetch` effect
  }

  /** Gives the claim back when `ms` are over and it is still not its turn; `leave` takes it out of the queue. */
  giveUpAfter(ms: number, leave: () => void): void {
    this.#cancelGiveUp();
    if (this.#work.start !== undefined) return; // the printer may have that one already
    this.#cancelGiveUp = this.#context.clock.after(ms, () => {
      leave();
      this.#state = step(this.#state, { type: "deadline" }).state;
      this.#record();
      this.#settle();
      this.#download.abort();
      this.#discard();
    });
  }

  async toEnd(): Promise<void> {
    const { clock, log } = this.#context;
    this.#cancelGiveUp();
    this.#started = clock.monotonic();
    this.#watch.begin(this.#started);
    const effects: Effect[] = [...(this.#work.start?.effects ?? [firstEffect])];
    try {
      for (let effect = effects.shift(); effect !== undefined; effect = effects.shift()) {
        const input = await this.#perform(effect);
        if (input === "abandon") return;
        if (input === undefined) continue;
        effects.push(...this.#step(input));
      }
    } catch (error) {
      // A defect of ours. It must not keep the claim for ever: what was not sent goes back, the rest is in doubt.
      log.error(
        { claim: this.#work.claim.claimId, phase: this.#state.phase, err: error },
        "a release stopped unexpectedly",
      );
      this.#count("internal-error");
      if (this.#state.end === undefined) {
        this.#step({ type: "deadline" });
        // Whether an empty job is left at the printer is not worth a second defect.
        if (this.#state.end === undefined) this.#step({ type: "discarded" });
        this.#settle();
      }
    } finally {
      this.#download.abort();
      this.#discard();
    }
  }

  #step(input: Input): readonly Effect[] {
    const before = this.#state;
    const { state, effects } = step(before, input);
    this.#state = state;
    const isNews =
      state.phase !== before.phase || state.returning !== before.returning || state.givenUp !== before.givenUp;
    // SENDING was written, with its fsync, before the machine was told.
    if (isNews && input.type !== "durable") this.#record();
    if (state.givenUp !== undefined && before.givenUp === undefined)
      this.#watch.gaveUp(this.#context.clock.monotonic());
    if (state.seen !== before.seen || state.trouble !== before.trouble) this.#work.waits?.(state);
    return effects;
  }

  #perform(effect: Effect): Promise<Input | "abandon" | undefined> {
    switch (effect.type) {
      case "fetch":
        return this.#guarded(async () => {
          const { manifest } = this.#work;
          if (manifest === undefined) throw new Error("resumed work has no document");
          const cut = () => this.#download.abort();
          this.#stop.addEventListener("abort", cut, { once: true });
          this.#validated ??= this.#validate();
          await this.#fetch(manifest).finally(() => this.#stop.removeEventListener("abort", cut));
          this.#work.stage?.("fetched");
          return { type: "fetched" };
        });
      case "create":
        return this.#guarded(() => this.#create());
      case "recordIntent":
        return this.#guarded(() => this.#recordIntent());
      case "send":
        return this.#send();
      case "lookUp":
        return this.#lookUp();
      case "cancel":
        return this.#cancel();
      case "discard":
        return this.#discardJob();
      case "later":
        return this.#later(effect.effect);
      case "settle":
        this.#settle();
        return Promise.resolve(undefined);
    }
  }

  /** Before SENDING every error is an input: nothing was printed. */
  async #guarded(work: () => Promise<Input>): Promise<Input> {
    if (this.#stop.aborted) return { type: "failed", code: "agent-stopping", retry: false };
    try {
      return await work();
    } catch (error) {
      if (this.#stop.aborted) return { type: "failed", code: "agent-stopping", retry: false };
      // A defect of ours (`internal-error`) is no reason to keep the job from its owner either.
      const code = codeOf(error);
      this.#count(code);
      const { log } = this.#context;
      log.warn(
        { claim: this.#work.claim.claimId, phase: this.#state.phase, code, err: error },
        "release not possible now",
      );
      return { type: "failed", code, retry: RETRYABLE.has(code), ...detailOf(error) };
    }
  }

  #fetch(manifest: Manifest): Promise<FetchedDocument> {
    const { central, spool } = this.#context;
    const { jobId, claimId } = this.#work.claim;
    this.#document ??= fetchDocument(manifest, central.document(jobId, claimId, this.#download.signal), spool);
    return this.#document;
  }

  #discard(): void {
    this.#document?.then(
      (document) => document.discard(),
      () => {}, // the failed fetch was handled where it was awaited
    );
  }

  async #create(): Promise<Input> {
    const { printer, clock, blocking } = this.#context;
    mustHavePassword(this.#work.manifest?.ticket, this.#work.jobPassword);
    const asked = this.#preflight ?? printer.state(this.#stop);
    this.#preflight = undefined; // good once, also where it failed
    const state = await asked;
    const reasons = blockingReasons(state, printer.verdict, clock.monotonic(), blocking?.());
    if (reasons.length > 0) throw new PrinterError(blockCode(reasons), reasons.join(", "));
    const validated = this.#validated ?? this.#validate();
    this.#validated = undefined;
    await validated;
    // A second job beside one whose reply got lost would wait for its document, and keep this one waiting.
    const lost = this.#mayHaveCreated ? await this.#find(this.#stop) : undefined;
    // Some show a job that waits for its document as held.
    if (lost !== undefined && !OVER.has(lost.state)) return { type: "created", job: lost };
    this.#mayHaveCreated = true;
    const job = await printer.createJob(this.#request, this.#stop);
    this.#work.stage?.("created");
    return job === undefined ? { type: "created" } : { type: "created", job };
  }

  /** Begun while the document is fetched, when the printer has said that it is there; it hardly ever asks anything. */
  #validate(): Promise<void> {
    const { printer } = this.#context;
    const validated = (this.#preflight ?? Promise.resolve()).then(() => printer.validate(this.#request, this.#stop));
    validated.catch(() => {}); // met where it is awaited
    return validated;
  }

  async #recordIntent(): Promise<Input> {
    const { ledger, clock } = this.#context;
    const isOurs = () => clock.monotonic() <= this.#work.leaseUntil() - LEASE_MARGIN_MS;
    if (isOurs())
      await ledger.record(this.#work.claim.claimId, { ...this.#state, phase: "SENDING" }, this.#now(), true);
    // Asked again: an SD card may take seconds for it.
    if (!isOurs()) return { type: "failed", code: "release-deadline", retry: false };
    this.#work.stage?.("durable");
    return { type: "durable" };
  }

  async #send(): Promise<Input> {
    const { printer } = this.#context;
    const { job } = this.#state;
    try {
      const document = await this.#document;
      if (document === undefined) throw new Error("nothing was fetched");
      const { size } = document.body;
      const traced = async function* (this: Run): AsyncGenerator<Uint8Array> {
        this.#work.stage?.("firstByte");
        yield* document.body.chunks();
      };
      // A stop does not cut a transfer: half a document is worse than a late end. The driver's watchdog bounds it.
      const never = new AbortController().signal;
      const status = await printer.send(job, this.#request, { size, chunks: () => traced.call(this) }, never);
      this.#work.stage?.("sent");
      return { type: "sent", status };
    } catch (error) {
      const code = codeOf(error);
      this.#count(code);
      this.#context.log.error({ claim: this.#work.claim.claimId, code, err: error }, "sending the document broke");
      const nothingSent = error instanceof PrinterError && error.nothingSent;
      const isRefused = REFUSALS.has(code) || (job === undefined && code === "printer-refused");
      return { type: "sendFailed", code, notTaken: nothingSent || isRefused, ...detailOf(error) };
    } finally {
      this.#discard(); // the next document may need the memory
      this.#watch.begin(this.#context.clock.monotonic());
    }
  }

  async #lookUp(): Promise<Input | "abandon"> {
    const { printer, clock } = this.#context;
    await pause(clock, this.#watch.pauseMs(), this.#stop);
    // What is at the printer goes on without us; the next start looks it up.
    if (this.#stop.aborted) return "abandon";
    if (this.#watch.isSilent(clock.monotonic())) return { type: "deadline" };
    try {
      const { job } = this.#state;
      const status = job === undefined ? await this.#find(this.#stop) : await printer.jobStatus(job, this.#stop);
      const overdue = this.#watch.heard(clock.monotonic(), this.#state, status);
      if (status !== undefined) return { type: "status", status, overdue };
      return { type: "gone", forgets: printer.quirks?.some(({ name }) => name === "no-job-history") === true };
    } catch (error) {
      this.#count(codeOf(error));
      return { type: "lookupFailed" };
    }
  }

  #find(signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    return this.#context.printer.findJob(this.#request.name, this.#request.user, signal);
  }

  /** Best effort: the look-up that follows shows what came of it. */
  async #cancel(): Promise<undefined> {
    const { printer } = this.#context;
    const { signal } = new AbortController();
    try {
      const job = this.#state.job ?? (await this.#find(signal));
      if (job !== undefined) await printer.cancelJob(job, signal);
    } catch (error) {
      this.#failedAtPrinter("cancel", error);
    }
  }

  async #discardJob(): Promise<Input> {
    const { printer, clock } = this.#context;
    if (!this.#mayHaveCreated) return { type: "discarded" };
    const left = await discardJob({
      ...{ printer, clock, stop: this.#stop, job: this.#state.job },
      find: (signal) => this.#find(signal),
      failed: (error) => this.#failedAtPrinter("discard", error),
    });
    const paper = left?.state === "completed" || (left?.impressions ?? 0) > 0 || (left?.sheets ?? 0) > 0;
    return { type: "discarded", paper };
  }

  #failedAtPrinter(what: "cancel" | "discard", error: unknown): void {
    this.#count(`${what}-failed`);
    const { log } = this.#context;
    log.warn({ claim: this.#work.claim.claimId, code: codeOf(error) }, `${what} at the printer failed`);
  }

  async #later(effect: "fetch" | "create"): Promise<Input | "abandon" | undefined> {
    const { clock } = this.#context;
    const wait = RETRY_MS[Math.min(this.#state.failures, RETRY_MS.length) - 1] ?? RETRY_MS[0];
    if (clock.monotonic() + wait - this.#started > PATIENCE_MS) return { type: "deadline" };
    this.#validated = undefined; // it may have been what failed
    await pause(clock, wait, this.#stop);
    if (effect === "fetch") this.#document = undefined;
    return this.#perform({ type: effect });
  }

  #settle(): void {
    this.#work.stage?.("ended");
    this.#count(this.#state.end?.word ?? "internal-error");
    this.#work.ended(this.#state);
  }

  #record(): void {
    const { ledger, log } = this.#context;
    const { claimId } = this.#work.claim;
    ledger.record(claimId, this.#state, this.#now(), false).catch((error: unknown) => {
      // The ledger keeps it in memory and the central server is told; after a restart the job would be looked up.
      this.#count(codeOf(error));
      log.error({ claim: claimId, phase: this.#state.phase, code: codeOf(error) }, "the ledger could not be written");
    });
  }

  #now(): string {
    return isoTime(this.#context.clock);
  }

  #count(name: string): void {
    this.#counters[name] = (this.#counters[name] ?? 0) + 1;
  }
}
