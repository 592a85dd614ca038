import { type Clock, pause } from "../../drivers/clock.ts";
import type { Printer, PrinterJob, PrinterJobState, PrinterJobStatus } from "../../drivers/printer.ts";

/** How long a claim waits for a job without a document to be gone from the printer, in ms; and between two looks. */
const DISCARD_MS = 15_000;
const LOOK_MS = 500;
/** A printer that does not answer is asked no more: such a job ends by its own time-out there. */
const FAILURES = 2;

export const OVER: ReadonlySet<PrinterJobState> = new Set(["canceled", "aborted", "completed"]);

export interface Discarding {
  readonly printer: Printer;
  readonly clock: Clock;
  /** With the agent stopping it is still worth one try; the driver has deadlines of its own. */
  readonly stop: AbortSignal;
  /** The job as far as it is known. */
  readonly job: PrinterJob | undefined;
  /** Looks for it by its name. */
  readonly find: (signal: AbortSignal) => Promise<PrinterJobStatus | undefined>;
  readonly failed: (error: unknown) => void;
}

/** Cancels a job that has no document, and sees it end. What is left of it then; undefined if nothing is, or that cannot be learnt. */
export async function discardJob(discarding: Discarding): Promise<PrinterJobStatus | undefined> {
  const { printer, clock, stop, find, failed } = discarding;
  const { signal } = new AbortController();
  const until = clock.monotonic() + DISCARD_MS;
  let job = discarding.job;
  for (let failures = 0; failures < FAILURES; ) {
    try {
      job ??= await find(signal);
      if (job === undefined) return undefined;
      await printer.cancelJob(job, signal);
      const status = await printer.jobStatus(job, signal);
      if (status === undefined || OVER.has(status.state)) return status;
    } catch (error) {
      failures += 1;
      failed(error);
    }
    if (stop.aborted || clock.monotonic() >= until) return undefined;
    await pause(clock, LOOK_MS, stop);
  }
  return undefined;
}
