import {
  type DocumentBody,
  type JobRequest,
  type Printer,
  type PrinterCode,
  PrinterError,
  type PrinterJob,
  type PrinterJobState,
  type PrinterJobStatus,
  type PrinterQuirk,
  type PrinterState,
  type PrinterVerdict,
} from "../../drivers/printer.ts";

/** What a printer makes of a document whose transfer was cut (each of them was seen on real printers). */
export const CUT_FATES = ["aborted", "completed", "waits-for-data", "forgotten", "prints-part-and-aborts"] as const;
export type CutFate = (typeof CUT_FATES)[number];

/** What becomes of a job whose document came whole; one step at each look of whoever watches. `held` and `jams` are for ever. */
export const JOB_FATES = [
  "prints",
  "aborts-blank",
  "aborts-after-a-page",
  "canceled-at-panel",
  "forgotten",
  "held",
  "jams",
] as const;
export type JobFate = (typeof JOB_FATES)[number];

export type SendFault = "breaks" | "reply-lost" | "nothing-sent" | PrinterCode;

/** A job at the printer, with the truth that no status tells. */
export interface SimJob {
  readonly id: number;
  readonly name: string;
  readonly user: string;
  readonly format: string;
  state: PrinterJobState;
  reasons: string[];
  impressions: number | undefined;
  bytes: Buffer;
  /** The document came to its end. */
  whole: boolean;
  /** What really came out. */
  paper: "none" | "part" | "whole";
  looks: number;
  /** Looks until a cancel takes effect; undefined if none was asked for. */
  stopping: number | undefined;
}

/** A printer in memory that does what its public fields say, and remembers all that was asked of it, in order. */
export class SimPrinter implements Printer {
  readonly name: string;
  readonly counters: Record<string, number> = {};
  /** Every call, and `byte` for the first octet of each document that was pulled. */
  readonly calls: string[] = [];
  readonly jobs: SimJob[] = [];
  verdict: PrinterVerdict = { verdict: "unknown", conditions: [], at: undefined };
  blocking: string[] = [];
  hasCreateJob = true;
  /** Consumed one at a time by the next calls; `ok` lets one pass. */
  stateFaults: (PrinterCode | "ok")[] = [];
  validateFaults: (PrinterCode | "ok")[] = [];
  createFaults: (PrinterCode | "reply-lost" | "ok")[] = [];
  sendFaults: (SendFault | "ok")[] = [];
  lookFaults: (PrinterCode | "ok")[] = [];
  cancelFaults: (PrinterCode | "ok")[] = [];
  cutFate: CutFate = "aborted";
  jobFate: JobFate = "prints";
  /** How many looks a job is pending, and how many it is processing, before it ends. */
  pace = { pending: 1, processing: 1 };
  /** False for a printer that tells no impressions. */
  counts = true;
  /** How many looks a cancel takes. */
  cancelLooks = 0;
  quirks: PrinterQuirk[] = [];
  /** Set to keep the next call of this name from being answered until it is aborted. */
  hangs = new Set<string>();
  #ids = 0;

  constructor(name = "mfd") {
    this.name = name;
  }

  start(): void {}
  async stop(): Promise<void> {}

  prepare(): void {
    this.calls.push("prepare");
  }

  async state(signal: AbortSignal): Promise<PrinterState> {
    await this.#called("state", signal, this.stateFaults);
    return { state: "idle", accepting: true, reasons: this.blocking, blocking: this.blocking };
  }

  async validate(_request: JobRequest, signal: AbortSignal): Promise<void> {
    await this.#called("validate", signal, this.validateFaults);
  }

  async createJob(request: JobRequest, signal: AbortSignal): Promise<PrinterJob | undefined> {
    const fault = this.createFaults.shift() ?? "ok";
    await this.#called("createJob", signal, fault === "reply-lost" ? [] : [fault]);
    if (!this.hasCreateJob) return undefined;
    const job = this.#add(request, "pending", ["job-incoming"]);
    if (fault === "reply-lost") throw new PrinterError("printer-timeout", "the reply was lost");
    return { id: job.id, name: job.name };
  }

  async send(
    target: PrinterJob | undefined,
    request: JobRequest,
    document: DocumentBody,
    signal: AbortSignal,
  ): Promise<PrinterJobStatus> {
    const fault = this.sendFaults.shift() ?? "ok";
    this.calls.push("send");
    if (fault === "nothing-sent") throw new PrinterError("printer-unreachable", "", { nothingSent: true });
    await this.#hung("send", signal);
    if (fault !== "ok" && fault !== "breaks" && fault !== "reply-lost") {
      // A refusal comes when the document was read.
      for await (const _ of this.#pulled(document));
      throw new PrinterError(fault);
    }
    const job = target === undefined ? this.#add(request, "pending", ["job-incoming"]) : this.#known(target);
    if (job === undefined || job.whole || job.state === "canceled") throw new PrinterError("printer-refused");
    try {
      for await (const piece of this.#pulled(document)) {
        job.bytes = Buffer.concat([job.bytes, piece]);
        if (fault === "breaks") throw new PrinterError("printer-broken-connection");
      }
    } catch (error) {
      this.#cut(job);
      throw error;
    }
    job.whole = true;
    job.reasons = [];
    if (fault === "reply-lost") throw new PrinterError("printer-timeout", "the reply was lost");
    return this.#statusOf(job);
  }

  async jobStatus(target: PrinterJob, signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    await this.#called("jobStatus", signal, this.lookFaults);
    return this.#look(this.#known(target));
  }

  async findJob(name: string, _user: string, signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    await this.#called("findJob", signal, this.lookFaults);
    return this.#look(this.jobs.findLast((job) => job.name === name));
  }

  async cancelJob(target: PrinterJob, signal: AbortSignal): Promise<void> {
    await this.#called("cancelJob", signal, this.cancelFaults);
    const job = this.#known(target);
    if (job === undefined || isOver(job) || job.stopping !== undefined) return;
    job.stopping = this.cancelLooks;
    job.reasons = ["processing-to-stop-point"];
    this.#stopped(job);
  }

  /** Each look brings a job that is to stop nearer to it. */
  #stopped(job: SimJob): void {
    if (job.stopping === undefined || job.stopping > 0) return;
    job.state = "canceled";
    job.reasons = ["job-canceled-by-user"];
    if (job.paper === "none") job.impressions = 0;
  }

  /** Everything that has its document comes to its end, watched or not. */
  finish(): void {
    for (const job of [...this.jobs])
      while (job.whole && !isOver(job) && !STANDING.has(job.state) && this.#look(job) !== undefined);
  }

  /** Switched off and on: no job is known, ids begin anew. Paper that is out stays out. */
  readonly forgotten: SimJob[] = [];
  powerCycle(): void {
    this.forgotten.push(...this.jobs.splice(0));
    this.#ids = 0;
  }

  /** All jobs of this name that ever were. */
  everKnown(name: string): SimJob[] {
    return [...this.forgotten, ...this.jobs].filter((job) => job.name === name);
  }

  #known(target: PrinterJob): SimJob | undefined {
    return this.jobs.find((job) => job.id === target.id && job.name === target.name);
  }

  #add({ name, user, format }: JobRequest, state: PrinterJobState, reasons: string[]): SimJob {
    this.#ids += 1;
    const job: SimJob = {
      ...{ id: this.#ids, name, user, format, state, reasons, impressions: 0 },
      ...{ bytes: Buffer.alloc(0), whole: false, paper: "none", looks: 0, stopping: undefined },
    };
    this.jobs.push(job);
    return job;
  }

  async *#pulled(document: DocumentBody): AsyncGenerator<Uint8Array> {
    let first = true;
    for await (const piece of document.chunks()) {
      if (first) this.calls.push("byte");
      first = false;
      yield piece;
    }
  }

  #forget(job: SimJob): void {
    this.jobs.splice(this.jobs.indexOf(job), 1);
    this.forgotten.push(job);
  }

  #cut(job: SimJob): void {
    switch (this.cutFate) {
      case "aborted":
        job.state = "aborted";
        job.reasons = ["aborted-by-system"];
        return;
      case "completed":
        job.state = "completed";
        job.paper = job.bytes.length > 0 ? "part" : "none";
        return;
      case "waits-for-data":
        job.state = "processing";
        job.reasons = ["job-incoming"];
        return;
      case "forgotten":
        job.paper = job.bytes.length > 0 ? "part" : "none";
        this.#forget(job);
        return;
      case "prints-part-and-aborts":
        job.state = "aborted";
        job.paper = "part";
        job.impressions = undefined;
        return;
    }
  }

  #look(job: SimJob | undefined): PrinterJobStatus | undefined {
    if (job === undefined) return undefined;
    if (job.stopping !== undefined && !isOver(job)) {
      job.stopping -= 1;
      this.#stopped(job);
    } else if (job.whole && !isOver(job)) {
      job.looks += 1;
      const { pending, processing } = this.pace;
      if (job.looks > pending + processing || this.jobFate === "held") this.#end(job);
      else if (job.looks > pending) job.state = "processing";
    }
    return this.jobs.includes(job) ? this.#statusOf(job) : undefined;
  }

  #end(job: SimJob): void {
    switch (this.jobFate) {
      case "prints":
        Object.assign(job, { state: "completed", paper: "whole", impressions: 2 });
        return;
      case "aborts-blank":
        Object.assign(job, { state: "aborted", impressions: 0 });
        return;
      case "aborts-after-a-page":
        Object.assign(job, { state: "aborted", paper: "part", impressions: 1 });
        return;
      case "canceled-at-panel":
        Object.assign(job, { state: "canceled", impressions: 0 });
        return;
      case "forgotten":
        job.paper = "whole";
        this.#forget(job);
        return;
      case "held":
        Object.assign(job, { state: "pending-held", reasons: ["job-password-wait"] });
        return;
      case "jams":
        Object.assign(job, {
          state: "processing-stopped",
          reasons: ["printer-stopped"],
          paper: "part",
          impressions: 1,
        });
        return;
    }
  }

  #statusOf({ id, name, state, reasons, impressions }: SimJob): PrinterJobStatus {
    return { id, name, state, reasons, ...(impressions === undefined || !this.counts ? {} : { impressions }) };
  }

  async #called(name: string, signal: AbortSignal, faults: (PrinterCode | "ok")[]): Promise<void> {
    this.calls.push(name);
    await this.#hung(name, signal);
    const fault = faults.shift() ?? "ok";
    if (fault !== "ok") throw new PrinterError(fault);
    if (signal.aborted) throw new PrinterError("printer-broken-connection", "given up");
  }

  async #hung(name: string, signal: AbortSignal): Promise<void> {
    if (!this.hangs.delete(name)) return;
    await new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(new PrinterError("printer-broken-connection", "given up")));
    });
  }
}

const STANDING: ReadonlySet<PrinterJobState> = new Set(["pending-held", "processing-stopped"]);

function isOver({ state }: SimJob): boolean {
  return state === "completed" || state === "aborted" || state === "canceled";
}
