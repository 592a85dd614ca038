import { type CodedError, type CodeTable, codedError } from "./coded-error.ts";
import type { Whereabouts } from "./discovery/follow-machine.ts";
import type { JobTicket } from "./job-ticket.ts";
import type { JobCounts, LifeCount } from "./printer-counts.ts";
import type { PrinterFacts } from "./printer-facts.ts";

export type { JobTicket };

/** RFC 8011 5.3.7 job-state, by keyword. */
export type PrinterJobState =
  | "pending"
  | "pending-held"
  | "processing"
  | "processing-stopped"
  | "canceled"
  | "aborted"
  | "completed";

/**
 * What identifies a job at the printer. Ids are reused after a power cycle, so `name` (unique, ours) is always compared too;
 * where the printer shows no names, its uuid or when it was made.
 */
export interface PrinterJob {
  readonly id: number;
  readonly name: string;
  readonly uuid?: string;
  readonly created?: PrinterMoment;
  /** The requesting-user-name that it was made under: printers show and cancel a job for its owner only. */
  readonly user?: string;
}

/** A moment as the printer tells time, in seconds. */
export interface PrinterMoment {
  /** Since it was switched on (printer-up-time). */
  readonly upTime?: number | undefined;
  /** When that was: since 1970, by our clock, which need not be right either. */
  readonly bootedAt?: number | undefined;
  /** Since 1970, by its own clock, which need not be right. */
  readonly date?: number | undefined;
}

export interface PrinterJobStatus extends PrinterJob {
  readonly state: PrinterJobState;
  /** RFC 8011 5.3.8 job-state-reasons. */
  readonly reasons: readonly string[];
  /** job-impressions-completed, where the printer tells it; 0 only from a printer that was seen to count. */
  readonly impressions?: number;
  /** job-media-sheets-completed, where the printer tells it. */
  readonly sheets?: number;
}

/** What the printer says of itself over IPP. */
export interface PrinterState {
  readonly state: "idle" | "processing" | "stopped";
  readonly accepting: boolean;
  /** printer-state-reasons as sent, without `none`. */
  readonly reasons: readonly string[];
  /** The reasons that keep paper from coming out now; empty means go. */
  readonly blocking: readonly string[];
  /** queued-job-count, where the printer tells it: jobs of anybody that have not ended. */
  readonly queued?: number;
}

/** The warm verdict of SNMP: advice and veto, never a gate. `unknown` does not block. */
export interface PrinterVerdict {
  readonly verdict: "ready" | "wait" | "blocked" | "unknown";
  /** Printer MIB condition names, such as `jammed`, `noPaper`. */
  readonly conditions: readonly string[];
  /** Monotonic ms of the poll that it rests on; undefined if there was none. */
  readonly at: number | undefined;
}

/** What stands behind the verdict, for people. */
export interface PrinterHealthReport {
  /** Why the last poll gave no verdict. */
  readonly problem: CodedError | undefined;
  /** The latest reading of the facts that is not too old. */
  readonly latest: { readonly facts: PrinterFacts; readonly ageMs: number } | undefined;
  readonly counters: Readonly<Record<string, number>>;
}

export interface JobRequest {
  /** Unique over all time; at most 255 octets of UTF-8. */
  readonly name: string;
  /** requesting-user-name. */
  readonly user: string;
  /** MIME type of the document; the driver chooses what it announces from what the printer supports. */
  readonly format: string;
  /** How it is to be printed; what the printer cannot do of it ends in `printer-ticket-unsupported`, unless it may be dropped. */
  readonly ticket?: JobTicket | undefined;
}

export interface DocumentBody {
  /** Octets. */
  readonly size: number;
  /** Called once. An error thrown by the iterator cuts the transfer and comes back out of `send`. */
  chunks(): AsyncIterable<Uint8Array>;
}

/** What this printer does differently, and how that is known. */
export interface PrinterQuirk {
  readonly name: string;
  readonly symptom: string;
  /** Named by the operator, listed for its make and model, or met in this run. */
  readonly from: "configuration" | "model" | "met";
}

export interface Printer {
  readonly name: string;
  readonly verdict: PrinterVerdict;
  /** Absent where the printer's health is not polled. */
  readonly health?: PrinterHealthReport | undefined;
  readonly counters: Readonly<Record<string, number>>;
  /** What keeps this printer from being used until a person acts (its key changed, its login is refused), as last met. */
  readonly error?: PrinterError | undefined;
  /** The quirks that apply to it. */
  readonly quirks?: readonly PrinterQuirk[];
  /** Where it was found, if its configured address does not answer. */
  readonly whereabouts?: Whereabouts;
  /** Begins the health polls. Never throws. */
  start(): void;
  /** In place of `start`: learns the verdict and the report once, now. Never throws. */
  look?(): Promise<void>;
  /** The printer is said to have changed: polls its health now, and believes nothing else. Never throws. */
  nudge?(): void;
  /** Get-Printer-Attributes, now. */
  state(signal: AbortSignal): Promise<PrinterState>;
  /** A tap came: opens the connection for the next document, if there is none waiting, and watches health closely. Never throws. */
  prepare(): void;
  /**
   * Validate-Job, unless the same was validated minutes ago. Rejects only where the printer says why it would not take this job,
   * or cannot now; where it has no such operation, or does not answer, Create-Job will tell.
   */
  validate(request: JobRequest, signal: AbortSignal): Promise<void>;
  /** Create-Job. `undefined`: this printer has none, `send` will use Print-Job. */
  createJob(request: JobRequest, signal: AbortSignal): Promise<PrinterJob | undefined>;
  /**
   * Send-Document to `job`, or Print-Job where `job` is undefined, on a connection that served nothing before.
   * A rejection with `PrinterError.nothingSent` proves that no byte of the request left; anything else leaves it open.
   */
  send(
    job: PrinterJob | undefined,
    request: JobRequest,
    document: DocumentBody,
    signal: AbortSignal,
  ): Promise<PrinterJobStatus>;
  /** Get-Job-Attributes. `undefined`: the printer does not know this job, the id now belongs to another, or nothing shows whose it is. */
  jobStatus(job: PrinterJob, signal: AbortSignal): Promise<PrinterJobStatus | undefined>;
  /** Looks through Get-Jobs (not completed, then completed) for our unique name. */
  findJob(name: string, user: string, signal: AbortSignal): Promise<PrinterJobStatus | undefined>;
  /** Cancel-Job. Resolves when the printer took the request; the job ends later. */
  cancelJob(job: PrinterJob, signal: AbortSignal): Promise<void>;
  /** The counts of a job that ended, asked again: printers update them late. `undefined`: the printer does not know this job any more. */
  jobCounts?(job: PrinterJob, signal: AbortSignal): Promise<JobCounts | undefined>;
  /** How many jobs of anybody the printer lists that came after `job`; `undefined` where it does not even list `job`. */
  jobsAfter?(job: PrinterJob, signal: AbortSignal): Promise<number | undefined>;
  /** Read now; `undefined` where the printer has none, or none to trust. Never rejects. */
  lifeCount?(): Promise<LifeCount | undefined>;
  stop(): Promise<void>;
}

export const PRINTER_CODES = {
  "printer-unreachable": {
    what: "The printer does not answer.",
    next: "Check that the printer is switched on and its network cable, address and port.",
  },
  "printer-key-unknown": {
    what: "The printer's TLS key is not the one that is pinned for it.",
    next: "Nothing is sent to it. If the printer was replaced or renewed its certificate, run `printgate printer trust NAME --replace`; otherwise find out who answers at its address.",
  },
  "printer-tls-refused": {
    what: "There is no safe TLS connection to the printer: it speaks no TLS at this port, or only a version, cipher or key that is too weak.",
    next: "Check the port, update its firmware or renew its certificate with a key of 2048 bits. If it can do no better, allow it by name with `tls_allow`; nothing is ever sent unencrypted instead.",
  },
  "printer-timeout": {
    what: "The printer did not answer in time.",
    next: "Look at the printer's panel; if it hangs, switch it off and on.",
  },
  "printer-broken-connection": {
    what: "The connection to the printer broke in the middle of a request.",
    next: "Check the network between agent and printer.",
  },
  "printer-bad-reply": {
    what: "The printer's reply is not valid IPP.",
    next: "Check that the printer's URI ends in its IPP path (often /ipp/print) and update its firmware.",
  },
  "printer-http-error": {
    what: "The printer's web server refused the request.",
    next: "Check the path of the printer's URI, and that IPP is switched on in its network settings.",
  },
  "printer-auth-required": {
    what: "The printer asks for a user name and password.",
    next: "Set `user` and `password` of this [[printer]], or allow the agent's address to print without a login.",
  },
  "printer-auth-refused": {
    what: "The printer refuses the user name and password that are configured.",
    next: "Correct `user` and `password` of this [[printer]]; check on the printer that this user may print and is not locked.",
  },
  "printer-auth-unsupported": {
    what: "The printer asks for a login that is not given: Basic without encryption, or neither Basic nor Digest with MD5 or SHA-256.",
    next: "Give it an ipps:// address (`printgate printer trust NAME`), switch Digest on, or allow the agent's address to print without a login.",
  },
  "printer-busy": {
    what: "The printer is printing another job and takes no second one.",
    next: "Wait until it is free; the job stays held.",
  },
  "printer-not-accepting": {
    what: "The printer does not accept jobs.",
    next: "Look at the printer's panel: its queue is stopped, full or paused.",
  },
  "printer-spool-full": {
    what: "The printer has no room for another job.",
    next: "Wait until it has printed what it holds, or delete stored jobs at its panel; the job stays held.",
  },
  "printer-account-refused": {
    what: "The printer's own accounting does not let this person print.",
    next: "Look at the person's account and quota on the printer, or exempt the agent from its accounting.",
  },
  "printer-job-unknown": {
    what: "The printer does not know the job that it had made for the document.",
    next: 'The job stays held; tap again. If it comes back, add `quirks = ["no-create-job"]` to this [[printer]].',
  },
  "printer-unavailable": {
    what: "The printer reports a temporary or device error.",
    next: "Look at the printer's panel.",
  },
  "printer-format-unsupported": {
    what: "The printer cannot print this document's format.",
    next: "Send the job in a format from the printer's document-format-supported, such as PDF.",
  },
  "printer-ticket-unsupported": {
    what: "The printer cannot print the job as its ticket asks, and the ticket does not allow less.",
    next: "Release it at a printer that can do what the detail names, submit it again without that, or let such values be dropped by the policy (`ticket.unsupported`).",
  },
  "printer-refused": {
    what: "The printer refused the request.",
    next: "Run `printgate doctor`; the detail names the IPP status.",
  },
  "printer-blocked": {
    what: "The printer cannot put out paper now.",
    next: "Clear what its panel shows (jam, cover, paper, toner); the job stays held.",
  },
} as const satisfies CodeTable;

export type PrinterCode = keyof typeof PRINTER_CODES;

export class PrinterError extends codedError(PRINTER_CODES) {
  /** True only where it is certain that not one byte of the request left this machine. */
  readonly nothingSent: boolean;

  constructor(code: PrinterCode, detail = "", options?: { cause?: unknown; nothingSent?: boolean }) {
    super(code, detail, options);
    this.nothingSent = options?.nothingSent ?? false;
  }
}
