import type { Clock } from "../../drivers/clock.ts";

/** RFC 8011 5.3.7. */
export const JOB_STATE = {
  pending: 3,
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
  state: JobState;
  reasons: readonly string[];
  /** Monotonic ms. */
  readonly createdAt: number;
  processingAt: number | undefined;
  endedAt: number | undefined;
  document: MfdDocument | undefined;
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

/** The queue of a printer that prints one job after the other, on an injected clock. */
export class MfdQueue {
  /** Milliseconds that one job takes to print. */
  printMs: number;
  readonly #clock: Clock;
  readonly #printed: (job: MfdJob) => void;
  #jobs: MfdJob[] = [];
  #serial = 0;
  #current: MfdJob | undefined;
  #halted = false;
  #cancelTimer = (): void => {};
  readonly #timeouts = new Map<MfdJob, () => void>();

  /** `printed` is called when a job's paper is out. */
  constructor(clock: Clock, printMs: number, printed: (job: MfdJob) => void) {
    this.#clock = clock;
    this.printMs = printMs;
    this.#printed = printed;
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

  create(name: string, user: string): MfdJob {
    const job: MfdJob = {
      id: (this.#jobs.at(-1)?.id ?? 0) + 1,
      serial: ++this.#serial,
      name,
      user,
      state: JOB_STATE.pending,
      reasons: ["job-incoming"],
      createdAt: this.#clock.monotonic(),
      processingAt: undefined,
      endedAt: undefined,
      document: undefined,
    };
    this.#jobs.push(job);
    this.#timeouts.set(
      job,
      this.#clock.after(DOCUMENT_TIMEOUT_S * 1000, () => this.abort(job)),
    );
    return job;
  }

  /** The document began to arrive: the job no longer times out. */
  incoming(job: MfdJob): void {
    this.#timeouts.get(job)?.();
    this.#timeouts.delete(job);
  }

  /** The job has all its documents: it prints when its turn comes. */
  close(job: MfdJob): void {
    if (ended(job)) return;
    this.incoming(job);
    job.reasons = ["none"];
    this.#next();
  }

  abort(job: MfdJob): void {
    this.#end(job, JOB_STATE.aborted, "aborted-by-system");
  }

  /** False if the job has ended already. */
  cancel(job: MfdJob): boolean {
    return this.#end(job, JOB_STATE.canceled, "job-canceled-by-user");
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
    for (const job of this.active) this.abort(job);
    this.#jobs = [];
  }

  #next(): void {
    if (this.#halted || this.#current !== undefined) return;
    const job = this.active.find(({ reasons }) => !reasons.includes("job-incoming"));
    if (job === undefined) return;
    this.#current = job;
    job.processingAt = this.#clock.monotonic();
    this.#print(job);
  }

  #print(job: MfdJob): void {
    job.state = JOB_STATE.processing;
    job.reasons = ["job-printing"];
    this.#cancelTimer = this.#clock.after(this.printMs, () => {
      this.#end(job, JOB_STATE.completed, "job-completed-successfully");
      this.#printed(job);
    });
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
    this.#next();
    return true;
  }
}

function ended({ state }: MfdJob): boolean {
  return state >= JOB_STATE.canceled;
}
