import type { Clock } from "../../clock.ts";
import type { PrinterJob, PrinterJobStatus } from "../../printer.ts";
import { groupsOf, integer, keyword } from "./attributes.ts";
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

/** What became of our jobs at one printer. */
export class JobLookups {
  readonly #options: JobLookupsOptions;
  /** Many printers say 0 impressions whatever they printed; a 0 means something only from one that has counted before. */
  #counts = false;

  constructor(options: JobLookupsOptions) {
    this.#options = options;
  }

  async status(job: PrinterJob, signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    const { requests, hidesNames, unproven, clock } = this.#options;
    const { name, user, created } = job;
    const wanted = [keyword("requested-attributes", ...JOB_ATTRIBUTES)];
    const reply = await requests.ask(OPERATION.getJobAttributes, user ?? "", job.id, wanted, true, signal);
    if (isUnknownJob(reply)) return undefined;
    const group = groupsOf(succeeded(reply), GROUP.job)[0];
    const found = whose(group, job, clock.wall() / 1000, hidesNames());
    if (found === "unproven") unproven();
    const status = found === "ours" ? jobStatusOf(group, job) : undefined;
    if (status === undefined) return undefined;
    const known = { ...(user === undefined ? {} : { user }), ...(created === undefined ? {} : { created }) };
    return this.believed({ ...status, name, ...known }, signal);
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
    const wanted = keyword("requested-attributes", ...JOB_ATTRIBUTES);
    const attributes = [integer("limit", 50), wanted, keyword("which-jobs", which)];
    const reply = succeeded(
      await this.#options.requests.ask(OPERATION.getJobs, user, undefined, attributes, true, signal),
    );
    const found = groupsOf(reply, GROUP.job).map((group) => jobStatusOf(group));
    this.#counts ||= found.some((other) => (other?.impressions ?? 0) > 0);
    return found;
  }
}

export function isUnknownJob({ code }: IppMessage): boolean {
  return code === STATUS.notFound || code === STATUS.gone;
}
