import type { Clock } from "../../drivers/clock.ts";
import type { IppAttribute } from "../../drivers/printers/ipp/message.ts";
import type { JobFault } from "./mfd-faults.ts";

/** RFC 8011 5.3.7. */
export const JOB_STATE = {
  pending: 3,
  pendingHeld: 4,
  processing: 5,
  processingStopped: 6,
  canceled: 7,
  aborted: 8,
  completed: 9,
} as const;
export type JobState = (typeof JOB_STATE)[keyof typeof JOB_STATE];

export interface MfdJob {
  /** Begins at 1 again after a power cycle, as on real printers. */
  readonly id: number;
  /** Never comes again. */
  readonly serial: number;
  readonly name: string;
  readonly user: string;
  /** The job attributes that it was made with. */
  readonly ticket: readonly IppAttribute[];
  state: JobState;
  reasons: readonly string[];
  /** Monotonic ms. */
  readonly createdAt: number;
  processingAt: number | undefined;
  endedAt: number | undefined;
  document: MfdDocument | undefined;
  /** Pages that are on paper. */
  pages: number;
  /** What the printer says of them, where that is something else. */
  pagesClaimed: number | undefined;
}

export interface MfdDocument {
  readonly sha256: string;
  readonly size: number;
  /** Monotonic ms of its first byte; undefined for an empty document. */
  readonly firstByteAt: number | undefined;
  /** Its transfer broke off before the end. */
  readonly cut: boolean;
  readonly file: string | undefined;
}

/** How long a created job waits for its document: multiple-operation-time-out, in seconds. */
export const DOCUMENT_TIMEOUT_S = 60;

export interface MfdQueueOptions {
  /** Milliseconds that one job takes to print. */
  readonly printMs: number;
  /** Milliseconds that a job which is complete waits before it prints, as while it is rasterised. */
  readonly pendingMs: number;
  /** Of each document. */
  readonly pages: number;
  /** Paper of this job is out, and no more of it will come. */
  readonly printed: (job: MfdJob) => void;
  /** Paper is stuck in the printer; cleared after so long, or never. */
  readonly jammed: (clearedAfterMs: number | undefined) => void;
}

/** The queue of a printer that prints one job after the other, on an injected clock. */
export class MfdQueue {
  printMs: number;
  /** What befalls the job that prints, or the next one that does. */
  fault: JobFault | undefined;
  /** Set: the next complete job waits at the panel for so long, or for ever. */
  holdNext: { readonly releasedAfterMs: number | undefined } | undefined;
  readonly #clock: Clock;
  readonly #options: MfdQueueOptions;
  #jobs: MfdJob[] = [];
  #serial = 0;
  #current: MfdJob | undefined;
  #halted = false;
  #cancelTimer = (): void => {};
  /** What ends a job's wait: for its document, for its turn, at the panel. */
  readonly #waits = new Map<MfdJob, () => void>();

  constructor(clock: Clock, options: MfdQueueOptions) {
    this.#clock = clock;
    this.#options = options;
    this.printMs = options.printMs;
  }

  get printing(): boolean {
    return this.#current !== undefined;
  }

  /** Jobs that have not ended, oldest first. */
  get active(): readonly MfdJob[] {
    return this.#jobs.filter((job) => !ended(job));
  }

  /** Jobs that have ended, newest first (RFC 8011 4.2.6). */
  get history(): readonly MfdJob[] {
    return this.#jobs.filter(ended).sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0) || b.id - a.id);
  }

  find(id: number | undefined): MfdJob | undefined {
    return this.#jobs.find((job) => job.id === id);
  }

  create(name: string, user: string, ticket: readonly IppAttribute[] = []): MfdJob {
    const job: MfdJob = {
      id: (this.#jobs.at(-1)?.id ?? 0) + 1,
      serial: ++this.#serial,
      name,
      user,
      ticket,
      state: JOB_STATE.pending,
      reasons: ["job-incoming"],
      createdAt: this.#clock.monotonic(),
      processingAt: undefined,
      endedAt: undefined,
      document: undefined,
      pages: 0,
      pagesClaimed: undefined,
    };
    this.#jobs.push(job);
    this.#wait(job, DOCUMENT_TIMEOUT_S * 1000, () => this.abort(job));
    return job;
  }

  /** The document began to arrive: the job no longer times out. */
  incoming(job: MfdJob): void {
    this.#waits.get(job)?.();
    this.#waits.delete(job);
  }

  /** The job has all its documents: it prints when its turn comes. */
  close(job: MfdJob): void {
    if (ended(job)) return;
    const held = this.holdNext;
    this.holdNext = undefined;
    if (held !== undefined) this.#hold(job, held.releasedAfterMs);
    else this.#queue(job);
  }

  abort(job: MfdJob): void {
    this.#end(job, JOB_STATE.aborted, "aborted-by-system");
  }

  /** False if the job has ended already. */
  cancel(job: MfdJob): boolean {
    return this.#end(job, JOB_STATE.canceled, "job-canceled-by-user");
  }

  /** Somebody releases at the panel whatever waits there. */
  releaseHeld(): void {
    this.holdNext = undefined;
    for (const job of this.active) if (job.state === JOB_STATE.pendingHeld) this.#queue(job);
  }

  /** Stops or restarts the paper path; the job that was printing waits in it. */
  halt(halted: boolean): void {
    this.#halted = halted;
    const job = this.#current;
    this.#cancelTimer();
    if (job === undefined) {
      this.#next();
    } else if (halted) {
      job.state = JOB_STATE.processingStopped;
      job.reasons = ["printer-stopped"];
    } else {
      this.#print(job);
    }
  }

  /** Power off and on: whatever was queued is gone, and so is the history. */
  forget(): void {
    const halted = this.#halted;
    this.#halted = true; // nothing begins to print in between
    for (const job of this.active) this.abort(job);
    this.#halted = halted;
    this.#jobs = [];
  }

  /** The jobs that have ended are known no more. */
  forgetEnded(): void {
    this.#jobs = this.#jobs.filter((job) => !ended(job));
  }

  #wait(job: MfdJob, ms: number, then: () => void): void {
    this.incoming(job);
    this.#waits.set(job, this.#clock.after(ms, then));
  }

  #hold(job: MfdJob, releasedAfterMs: number | undefined): void {
    this.incoming(job);
    job.state = JOB_STATE.pendingHeld;
    job.reasons = ["job-release-wait"];
    if (releasedAfterMs !== undefined) this.#wait(job, releasedAfterMs, () => this.#queue(job));
  }

  #queue(job: MfdJob): void {
    this.incoming(job);
    job.state = JOB_STATE.pending;
    const { pendingMs } = this.#options;
    job.reasons = ["job-transforming"];
    const ready = () => {
      job.reasons = ["none"];
      this.#next();
    };
    if (pendingMs === 0) ready();
    else this.#wait(job, pendingMs, ready);
  }

  #next(): void {
    if (this.#halted || this.#current !== undefined) return;
    const job = this.active.find(({ state, reasons }) => state === JOB_STATE.pending && reasons.includes("none"));
    if (job === undefined) return;
    this.#current = job;
    job.processingAt = this.#clock.monotonic();
    this.#print(job);
  }

  /** The next page, unless something befalls the job before it. */
  #print(job: MfdJob): void {
    job.state = JOB_STATE.processing;
    job.reasons = ["job-printing"];
    const { pages } = this.#options;
    const { fault } = this;
    if (fault !== undefined && job.pages >= Math.min(fault.afterPages, pages - 1)) {
      this.fault = undefined;
      if (this.#befalls(job, fault)) return;
    }
    this.#cancelTimer = this.#clock.after(this.printMs / pages, () => {
      job.pages += 1;
      if (job.pages < pages) this.#print(job);
      else this.#end(job, JOB_STATE.completed, "job-completed-successfully");
    });
  }

  /** True if no page comes for now. */
  #befalls(job: MfdJob, fault: JobFault): boolean {
    switch (fault.does) {
      case "jam":
        this.#options.jammed(fault.clearedAfterMs);
        return true;
      case "abort":
        return this.#end(job, JOB_STATE.aborted, "aborted-by-system");
      case "cancel-at-panel":
        return this.#end(job, JOB_STATE.canceled, "job-canceled-at-device");
      case "lie":
        job.pagesClaimed = fault.counts === "all" ? this.#options.pages : job.pages;
        return this.#end(job, JOB_STATE.completed, "job-completed-successfully");
    }
  }

  #end(job: MfdJob, state: JobState, reason: string): boolean {
    if (ended(job)) return false;
    this.incoming(job);
    job.state = state;
    job.reasons = [reason];
    job.endedAt = this.#clock.monotonic();
    if (this.#current === job) {
      this.#cancelTimer();
      this.#current = undefined;
    }
    if (job.pages > 0) this.#options.printed(job);
    this.#next();
    return true;
  }
}

function ended({ state }: MfdJob): boolean {
  return state >= JOB_STATE.canceled;
}
