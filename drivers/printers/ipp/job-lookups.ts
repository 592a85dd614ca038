import type { Clock } from "../../clock.ts";
import { codeOf } from "../../coded-error.ts";
import type { PrinterJob, PrinterJobStatus } from "../../printer.ts";
import type { JobCounts } from "../../printer-counts.ts";
import { groupsOf, integer, keyword, numbersOf } from "./attributes.ts";
import { COUNT_ATTRIBUTES, countsByKind } from "./counts.ts";
import { whose } from "./identity.ts";
import type { IppMessage } from "./message.ts";
import type { Requests } from "./requests.ts";
import { JOB_ATTRIBUTES, jobStatusOf, succeeded } from "./state.ts";
import { GROUP, OPERATION, STATUS } from "./tags.ts";

export interface JobLookupsOptions {
  readonly requests: Requests;
  readonly hidesNames: () => boolean;
  /** Told of a job that may be ours, where nothing shows whose it is. */
  readonly unproven: () => void;
  readonly clock: Clock;
}

/** Of a request that has attributes in it which the printer does not know. */
const REFUSALS: ReadonlySet<string> = new Set(["printer-refused", "printer-ticket-unsupported"]);

/** What became of our jobs at one printer. */
export class JobLookups {
  readonly #options: JobLookupsOptions;
  /** Many printers say 0 impressions whatever they printed; a 0 means something only from one that has counted before. */
  #counts = false;
  /** A printer may refuse to hear of attributes that it does not know. */
  #noKinds = false;

  constructor(options: JobLookupsOptions) {
    this.#options = options;
  }

  async status(job: PrinterJob, signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    return (await this.#asked(job, [], signal))?.status;
  }

  /** The counts alone, and by kind where the printer has that. */
  async counts(job: PrinterJob, signal: AbortSignal): Promise<JobCounts | undefined> {
    const asked = this.#noKinds
      ? await this.#asked(job, [], signal)
      : await this.#asked(job, COUNT_ATTRIBUTES, signal).catch((error: unknown) => {
          if (!REFUSALS.has(codeOf(error))) throw error;
          this.#noKinds = true;
          return this.#asked(job, [], signal);
        });
    if (asked === undefined) return undefined;
    const { impressions, sheets } = asked.status;
    return {
      ...(impressions === undefined ? {} : { impressions }),
      ...(sheets === undefined ? {} : { sheets }),
      ...countsByKind(asked.group),
    };
  }

  /** How many jobs are listed that came after this one, by their ids; undefined where this one is not listed. */
  async after(job: PrinterJob, signal: AbortSignal): Promise<number | undefined> {
    const ids = new Set<number>();
    for (const which of ["not-completed", "completed"] as const) {
      const listed = await this.#list(which, job.user ?? "", ["job-id"], signal);
      for (const id of listed.flatMap((group) => numbersOf(group, "job-id"))) ids.add(id);
    }
    return ids.has(job.id) ? [...ids].filter((id) => id > job.id).length : undefined;
  }

  /** Undefined where the printer does not know it, or where it is not shown to be ours. */
  async #asked(job: PrinterJob, more: readonly string[], signal: AbortSignal) {
    const { requests, hidesNames, unproven, clock } = this.#options;
    const { name, user, created } = job;
    const wanted = [keyword("requested-attributes", ...JOB_ATTRIBUTES, ...more)];
    const reply = await requests.ask(OPERATION.getJobAttributes, user ?? "", job.id, wanted, true, signal);
    if (isUnknownJob(reply)) return undefined;
    const group = groupsOf(succeeded(reply), GROUP.job)[0];
    const found = whose(group, job, clock.wall() / 1000, hidesNames());
    if (found === "unproven") unproven();
    const status = found === "ours" ? jobStatusOf(group, job) : undefined;
    if (status === undefined) return undefined;
    const known = { ...(user === undefined ? {} : { user }), ...(created === undefined ? {} : { created }) };
    return { status: await this.believed({ ...status, name, ...known }, signal), group };
  }

  async find(name: string, user: string, signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    // In this order a job that ends between the two requests is still found.
    for (const which of ["not-completed", "completed"] as const) {
      const found = await this.#jobs(which, user, signal);
      const ours = found.find((candidate) => candidate?.name === name);
      if (ours !== undefined) return this.believed({ ...ours, user }, signal);
    }
    return undefined;
  }

  /** The status without a count of 0 that says nothing. */
  async believed(status: PrinterJobStatus, signal: AbortSignal): Promise<PrinterJobStatus> {
    const { impressions, ...uncounted } = status;
    this.#counts ||= (impressions ?? 0) > 0;
    // Only the end of a job that did not print rests on a 0; then its other jobs may show that the printer counts.
    const matters = impressions === 0 && (status.state === "canceled" || status.state === "aborted");
    if (matters && !this.#counts) await this.#jobs("completed", status.user ?? "", signal);
    return impressions === 0 && !this.#counts ? uncounted : status;
  }

  async #jobs(which: "not-completed" | "completed", user: string, signal: AbortSignal) {
    const found = (await this.#list(which, user, JOB_ATTRIBUTES, signal)).map((group) => jobStatusOf(group));
    this.#counts ||= found.some((other) => (other?.impressions ?? 0) > 0);
    return found;
  }

  async #list(which: "not-completed" | "completed", user: string, names: readonly string[], signal: AbortSignal) {
    const wanted = keyword("requested-attributes", ...names);
    const attributes = [integer("limit", 50), wanted, keyword("which-jobs", which)];
    const { requests } = this.#options;
    return groupsOf(
      succeeded(await requests.ask(OPERATION.getJobs, user, undefined, attributes, true, signal)),
      GROUP.job,
    );
  }
}

export function isUnknownJob({ code }: IppMessage): boolean {
  return code === STATUS.notFound || code === STATUS.gone;
}
